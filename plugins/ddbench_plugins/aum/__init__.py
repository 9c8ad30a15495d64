"""AUM: margins over all of training (Pleiss et al., NeurIPS 2020)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``aum``."""
    registry.add(
        MethodInfo(
            name="aum",
            kind="selection",
            target="ddbench_plugins.aum.method:AUM",
            params="ddbench_plugins.aum.params:AUMParams",
            summary="the smallest margins over all of training",
            paper=Paper(
                "Identifying Mislabeled Data using the Area Under the Margin Ranking",
                "NeurIPS",
                2020,
                "https://arxiv.org/abs/2001.10528",
                ("Pleiss, Geoff", "Zhang, Tianyi", "Elenberg, Ethan R.", "Weinberger, Kilian Q."),
            ),
            presets="presets.yaml",
        )
    )
