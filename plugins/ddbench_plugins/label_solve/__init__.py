"""Label Solve: the labels of real images that kernel ridge regression predicts best from (Nguyen et al., ICLR 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``label_solve``."""
    registry.add(
        MethodInfo(
            name="label_solve",
            kind="selection",
            target="ddbench_plugins.label_solve.method:LabelSolve",
            params="ddbench_plugins.label_solve.params:LabelSolveParams",
            summary="random's images with the labels from which kernel ridge regression predicts real images best",
            paper=Paper(
                "Dataset Meta-Learning from Kernel Ridge-Regression",
                "ICLR",
                2021,
                "https://arxiv.org/abs/2011.00050",
                ("Nguyen, Timothy", "Chen, Zhourong", "Lee, Jaehoon"),
            ),
            axes=frozenset({"budget", "seed"}),
            own_labels=True,
            labels_only=True,
            presets="presets.yaml",
        )
    )
