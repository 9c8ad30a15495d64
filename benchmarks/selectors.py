"""Selectors that look at features, on 10 classes of 5,000 images by 2,048 features: `python -m benchmarks.selectors`.

What they read is written once: features and logits as an artifact, and, for those that read a recording, a network of
which only the answers to validation images are its own, and epochs in which nine images of ten were right. A second row
of each looks at features that are all 0, as of a proxy net that is dead.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.places import work
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

if TYPE_CHECKING:
    from torch import Tensor, nn

N, D, VAL, EPOCHS = 5000, 2048, 5000, 20
METHODS = (
    "herding", "kcenter", "kmeans", "graphcut", "facility_location", "craig", "gradmatch", "glister", "moderate", "d2",
)  # fmt: skip
GOALS = (Goal("seconds", 120.0, "≤"), Goal("peak_mb", 2000.0, "≤"))

ROWS = [
    Row(
        f"selectors {method}{' dead' * dead}",
        f"{method}: 50 images of each of {CLASSES} classes of {N:,} by {D:,} features{', all 0' * dead}",
        Case(method, ipc=50, width=128, depth=3, size=32, channels=3, dead=dead), "benchmarks.selectors", GOALS,
        sides=("ours",),
    )
    for dead in (False, True)
    for method in METHODS
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    """The whole of ``select``, reading its artifact included."""
    from benchmarks.kit.ours import apply_engine

    apply_engine(case)
    from ddbench.core.plugin.loader import installed, method_class, params_class

    info = installed().methods.get(case.method)
    ctx = context(case)
    method = method_class(info)(params_class(info)())
    turns.serve(lambda: method.select(ctx))


def context(case: Case) -> Any:
    """What selectors touch of a run."""
    import torch

    net, folder = network(case), work() / ("selectors-dead" if case.dead else "selectors")
    labels = torch.arange(CLASSES).repeat_interleave(N)
    if not (folder / "presented.npy").exists():  # what is written last
        write(folder, net, labels, dead=case.dead)
    val = torch.randn(VAL, case.channels, case.size, case.size, generator=torch.Generator().manual_seed(1))
    return SimpleNamespace(
        train=split(labels), val=split(torch.arange(VAL) % CLASSES, val), device=torch.device(case.device),
        per_class=(case.ipc,) * CLASSES, artifact=lambda name: folder, progress=lambda *step: None,
        warn=lambda text: None, seed=lambda *use: 0, private_seed=lambda *use: 0, build_model=lambda *, seed: net,
    )  # fmt: skip


def split(labels: Tensor, images: Tensor | None = None) -> Any:
    """Labels, and images where any are looked at."""
    return _Split(
        labels=labels,
        of_class=lambda c: (labels == c).nonzero().flatten(),
        images=lambda index: None if images is None else images[index],
    )


class _Split(SimpleNamespace):
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def network(case: Case) -> nn.Module:
    """As untrained as it is."""
    from ddbench.models import build_model

    return build_model(case.arch, channels=case.channels, classes=CLASSES, size=case.size, seed=0)


def write(folder: Path, net: nn.Module, labels: Tensor, *, dead: bool) -> None:
    """Both artifacts, of the same features: those of 20 clusters a class, or 0, and logits that lean to the class."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from benchmarks.selection import features
    from ddbench.blocks import dynamics
    from ddbench.blocks.features import FILE

    folder.mkdir(parents=True, exist_ok=True)
    draws = torch.Generator().manual_seed(2)
    shown = torch.cat([features(Case()).roll(c, dims=1) for c in range(CLASSES)])
    if dead:
        shown.zero_()
    logits = 2 * torch.randn(len(labels), CLASSES, generator=draws)
    logits[torch.arange(len(labels)), labels] += 3
    said = {"features": shown, "logits": logits}
    save_file(said, folder / FILE)
    right = np.random.default_rng(3).random((len(dynamics.MEASURES), EPOCHS, len(labels))) < 0.9
    save_file({**{f"net.{k}": v for k, v in net.state_dict().items()}, **said}, dynamics.kept_file(folder, EPOCHS))
    np.save(folder / dynamics.PRESENTED, right.astype(np.float32))


if __name__ == "__main__":
    main(ROWS)
