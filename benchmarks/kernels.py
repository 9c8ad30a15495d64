"""Kernel methods, 500 images on 10,000 of 28 × 28 pixels: `python -m benchmarks.kernels`.

``batch`` of a case is real images per class and step; how long 300 steps take is told from ten.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.row import Goal, Line, Options, Row, paired
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

if TYPE_CHECKING:
    from torch import Tensor

N, STEPS, WHOLE = 10_000, 10, 300
MINUTES = f"min for {WHOLE} steps"
PEAK = Goal("peak_mb", 2000.0, "≤")


def extrapolated(row: Row, options: Options) -> Line:
    """As every row, with the minutes of all steps."""
    line = paired(row, options)
    if "seconds" in line["numbers"]:
        line["numbers"][MINUTES] = line["numbers"]["seconds"] / STEPS * WHOLE / 60
    return line


ROWS = [
    Row(
        f"kernels kip {kernel} batch {batch * CLASSES}",
        f"KIP, {STEPS} steps on batches of {batch * CLASSES:,}, 500 images of {N:,}, NTK {kernel}",
        Case(f"kip {kernel}", ipc=50, batch=batch), "benchmarks.kernels", (Goal(MINUTES, 30.0, "≤"), PEAK),
        sides=("ours",), measure=extrapolated,
    )
    for kernel in ("fc1", "fc3")
    for batch in (100, 500)
] + [
    Row(
        f"kernels label_solve {kernel}", f"Label Solve, 500 images, labels of {N:,}, NTK {kernel}",
        Case(f"label_solve {kernel}", ipc=50), "benchmarks.kernels", (Goal("seconds", 120.0, "≤"), PEAK),
        sides=("ours",),
    )
    for kernel in ("fc1", "fc3")
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    """Ten steps of KIP, or the one of Label Solve."""
    from benchmarks.kit.ours import apply_engine

    apply_engine(case)
    from ddbench.core.plugin.loader import installed, method_class, params_class

    name, kernel = case.method.split()
    info = installed().methods.get(name)
    own = {"batch_real": case.batch} if name == "kip" else {}
    method, ctx = method_class(info)(params_class(info)(kernel=kernel, **own)), context(case)
    method.prepare(ctx)

    def steps() -> None:
        for _ in range(STEPS if name == "kip" else 1):
            method.step(ctx)

    turns.serve(steps)


def context(case: Case) -> Any:
    """What both methods touch of a run, over noise that leans to the mean of its class."""
    import torch

    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % CLASSES
    shape = case.channels, case.size, case.size
    images = torch.randn(N, *shape, generator=draws) + torch.randn(CLASSES, *shape, generator=draws)[labels]
    return SimpleNamespace(
        train=_Split(labels=labels, images=lambda index: images[index], of_class=lambda c: of_class(labels, c)),
        dataset=SimpleNamespace(classes=CLASSES), device=torch.device(case.device), per_class=(case.ipc,) * CLASSES,
        generator=draws, seed=lambda *use: 0, progress=lambda *step: None,
    )  # fmt: skip


def of_class(labels: Tensor, c: int) -> Tensor:
    """Indices of the images of a class."""
    return (labels == c).nonzero().flatten()


class _Split(SimpleNamespace):
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


if __name__ == "__main__":
    main(ROWS)
