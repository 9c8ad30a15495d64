"""Margin: the two largest probabilities closest to each other (as in Coleman et al., ICLR 2020)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``margin``."""
    registry.add(
        MethodInfo(
            name="margin",
            kind="selection",
            target="ddbench_plugins.margin.method:Margin",
            params="ddbench_plugins.margin.params:MarginParams",
            summary="images whose two largest probabilities are closest after training",
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
