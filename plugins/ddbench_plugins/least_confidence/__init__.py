"""Least confidence: the smallest largest probabilities (as in Coleman et al., ICLR 2020)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``least_confidence``."""
    registry.add(
        MethodInfo(
            name="least_confidence",
            kind="selection",
            target="ddbench_plugins.least_confidence.method:LeastConfidence",
            params="ddbench_plugins.least_confidence.params:LeastConfidenceParams",
            summary="images whose largest probability is smallest after training",
            paper=Paper(
                "Selection via Proxy: Efficient Data Selection for Deep Learning",
                "ICLR",
                2020,
                "https://arxiv.org/abs/1906.11829",
                (
                    "Coleman, Cody",
                    "Yeh, Christopher",
                    "Mussmann, Stephen",
                    "Mirzasoleiman, Baharan",
                    "Bailis, Peter",
                    "Liang, Percy",
                    "Leskovec, Jure",
                    "Zaharia, Matei",
                ),
            ),
            presets="presets.yaml",
        )
    )
