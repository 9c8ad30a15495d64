"""Entropy: the most undecided predictions (as in Coleman et al., ICLR 2020)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``entropy``."""
    registry.add(
        MethodInfo(
            name="entropy",
            kind="selection",
            target="ddbench_plugins.entropy.method:Entropy",
            params="ddbench_plugins.entropy.params:EntropyParams",
            summary="images whose prediction has the largest entropy after training",
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
