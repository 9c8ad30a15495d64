"""GradMatch: weighted images whose gradients sum to the mean one (Killamsetty et al., ICML 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``gradmatch``."""
    registry.add(
        MethodInfo(
            name="gradmatch",
            kind="selection",
            target="ddbench_plugins.gradmatch.method:GradMatch",
            params="ddbench_plugins.gradmatch.params:GradMatchParams",
            summary="weighted images whose gradients match the mean gradient, by orthogonal matching pursuit",
            paper=Paper(
                "GRAD-MATCH: Gradient Matching based Data Subset Selection for Efficient Deep Model Training",
                "ICML",
                2021,
                "https://arxiv.org/abs/2103.00123",
                (
                    "Killamsetty, Krishnateja",
                    "Sivasubramanian, Durga",
                    "Ramakrishnan, Ganesh",
                    "De, Abir",
                    "Iyer, Rishabh",
                ),
            ),
            presets="presets.yaml",
        )
    )
