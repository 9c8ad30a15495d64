"""Expert trajectories: networks trained on the real data, with snapshots of their parameters along the way.

Symbols: E + 1 snapshots θ*_0 … θ*_E of an expert, P parameters, N training images, [n, C, H, W] images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ddbench.blocks.augment import DSA
from ddbench.blocks.functional import flatten
from ddbench.blocks.params import ExpertsParams
from ddbench.blocks.sam import gsam_step
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.api import RunContext
from ddbench.core.errors import CorruptFileError, DataError, NodeFailureError
from ddbench.core.store.tensors import load_checkpoint, save_state

CHECKPOINT_S = 60.0
PROBE = 500
"""Training images, evenly spaced, on which an expert's accuracy is measured at each snapshot."""
CHECKPOINT = ".checkpoint.safetensors"
_VERSION = "experts 1"


@dataclass(frozen=True)
class Experts:
    """A built pool; opening it reads no snapshot, and a snapshot is read without its file (memory-mapped).

    Attributes:
        folder: The artifact's folder.
    """

    folder: Path

    @cached_property
    def files(self) -> list[Path]:
        """One file per expert."""
        return sorted(self.folder.glob("expert_*.safetensors"))

    def __len__(self) -> int:
        return len(self.files)

    def check(self, params: ExpertsParams, warn: Callable[[str], None]) -> None:
        """Say where an imported pool comes from: its cost is unknown, and nobody knows what it has seen.

        Args:
            params: How the pool was asked for.
            warn: ``ctx.warn``.
        """
        if params.source:
            warn(f"experts imported ({params.source}): what training them cost, and on which images, is not known here")

    @cached_property
    def last(self) -> int:
        """E, the index of the last snapshot."""
        with safe_open(str(self.files[0]), framework="pt") as file:
            return int(file.get_slice("snapshots").get_shape()[0]) - 1

    def snapshot(self, expert: int, t: int) -> Tensor:
        """θ*_t of an expert, float32 [P].

        Raises:
            CorruptFileError: If the file is cut short.
            IndexError: If there is no such snapshot.
        """
        if not 0 <= t <= self.last:
            raise IndexError(f"snapshot {t} of 0 … {self.last}")
        path = self.files[expert]
        try:
            with safe_open(str(path), framework="pt") as file:
                snapshot: Tensor = file.get_slice("snapshots")[t]
                return snapshot.float()
        except Exception as error:
            raise CorruptFileError(f"{path}: {error}") from error

    @cached_property
    def train_top1(self) -> Tensor:
        """Accuracy on (a fixed part of) train at each snapshot [%], [experts, E + 1]."""
        curves = []
        for path in self.files:
            with safe_open(str(path), framework="pt") as file:
                curves.append(file.get_tensor("train_top1"))
        return torch.stack(curves)


def probe(n: int) -> Tensor:
    """Which of n training images accuracies are measured on: [≤ PROBE] int64, evenly spaced, on the CPU."""
    return torch.linspace(0, n - 1, min(n, PROBE)).long()


def expert_file(folder: Path, expert: int) -> Path:
    """Where one expert's snapshots lie."""
    return folder / f"expert_{expert:03d}.safetensors"


def build(ctx: RunContext, folder: Path, params: ExpertsParams) -> None:
    """Build the artifact: ``expert_000.safetensors`` … with snapshots [E + 1, P] and train_top1 [E + 1].

    A killed build continues: finished experts stay, and the running one goes on from a checkpoint every minute.

    Raises:
        DataError: If an imported pool is asked for that was not imported.
    """
    if params.source:
        raise DataError(
            f"experts {params.source} are not in $DDBENCH_HOME for this data and architecture: "
            "`ddbench artifacts import` them"
        )
    build_each(ctx, folder, params.experts, "experts", lambda expert: _train(ctx, folder, params, expert))


def build_each(ctx: RunContext, folder: Path, count: int, what: str, train: Callable[[int], dict[str, Tensor]]) -> None:
    """Train those that are not in ``folder`` yet, each into a file of its own; then its checkpoint goes.

    Args:
        ctx: The run, which is told of each.
        folder: The artifact's.
        count: How many there are.
        what: What they are, for progress.
        train: Number → tensors of its file; may leave :data:`CHECKPOINT` in ``folder``.
    """
    for i in range(count):
        path = expert_file(folder, i)
        if not path.exists():
            tensors = train(i)
            temporary = path.with_suffix(".tmp")
            save_file(tensors, temporary)
            temporary.replace(path)
            (folder / CHECKPOINT).unlink(missing_ok=True)
        ctx.progress(i + 1, count, what)


def _train(ctx: RunContext, folder: Path, params: ExpertsParams, expert: int) -> dict[str, Tensor]:
    """One expert's snapshots and accuracies."""
    name = str(expert)
    per_epoch = -(-len(ctx.train) // params.batch)
    every = params.between(len(ctx.train))
    updates = params.epochs * per_epoch
    draws = torch.Generator().manual_seed(ctx.seed("expert", name, "augmentation"))
    order = torch.Generator().manual_seed(ctx.seed("expert", name, "order"))
    trainer = _trainer(ctx, params, ctx.build_model(seed=ctx.seed("expert", name, "model")), updates, order, draws)
    snapshots, accuracies = [_snapshot(trainer.model, params)], [accuracy(ctx, trainer.model)]
    path = folder / CHECKPOINT
    state = load_checkpoint(path, _VERSION)
    if state is not None and state["expert"] == expert:
        trainer.load(state["trainer"])
        draws.set_state(state["draws"])
        snapshots, accuracies = list(state["snapshots"]), state["accuracies"]
    saved = time.monotonic()
    while trainer.done < updates:
        trainer.update()
        if trainer.done % every == 0:
            snapshots.append(_snapshot(trainer.model, params))
            accuracies.append(accuracy(ctx, trainer.model))
            _check(snapshots, f"expert {expert} by update {trainer.done}", params)
        if time.monotonic() - saved >= CHECKPOINT_S:
            now = {"version": _VERSION, "expert": expert, "trainer": trainer.state(), "draws": draws.get_state()}
            save_state(path, {**now, "snapshots": snapshots, "accuracies": accuracies})
            saved = time.monotonic()
        ctx.progress(expert * updates + trainer.done, params.experts * updates, "updates of experts")
    return {"snapshots": torch.stack(snapshots), "train_top1": torch.tensor(accuracies)}


def continued(
    ctx: RunContext,
    params: ExpertsParams,
    start: Tensor,
    snapshots: int,
    order: torch.Generator,
    draws: torch.Generator,
) -> Tensor:
    """Where an expert would be so many snapshots later, with other batches: trained anew from ``start``.

    Args:
        ctx: The run.
        params: How the pool was trained.
        start: θ*_t, [P].
        snapshots: M.
        order: Decides the order of the images.
        draws: Decides their augmentation.

    Returns:
        [P], on the device.
    """
    net = ctx.build_model(seed=0)
    like = next(net.parameters())
    torch.nn.utils.vector_to_parameters(start.detach().to(like, copy=True), net.parameters())
    updates = snapshots * params.between(len(ctx.train))
    trainer = _trainer(ctx, params, net, updates, order, draws)
    while trainer.done < updates:
        trainer.update()
    return flatten(list(net.parameters()))


def _trainer(
    ctx: RunContext, params: ExpertsParams, model: nn.Module, updates: int, order: torch.Generator,
    draws: torch.Generator,
) -> Trainer:  # fmt: skip
    return Trainer(
        model,
        _fetch(ctx, params, draws),
        ctx.train.labels,
        TrainingRecipe(updates, params.lr, params.batch, momentum=0.0, weight_decay=0.0),
        order=order,
        step=_gsam(params) if params.optimiser == "gsam" else None,
    )


def _fetch(ctx: RunContext, params: ExpertsParams, draws: torch.Generator) -> Callable[[Tensor], Tensor]:
    dsa = DSA.for_dataset(ctx.dataset.flip)

    def fetch(index: Tensor) -> Tensor:
        images = ctx.train.images(index)
        return images if params.augment == "none" else dsa(images, dsa.draw(draws, n=len(images)))

    return fetch


def _gsam(params: ExpertsParams) -> Any:
    def step(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return gsam_step(model, images, labels, lr=params.lr, rho=params.rho, alpha=params.alpha)

    return step


def _snapshot(model: nn.Module, params: ExpertsParams) -> Tensor:
    """The parameters as they are now; ``cat`` copies, so that later updates do not reach it."""
    return flatten(list(model.parameters())).cpu().to(getattr(torch, params.storage))


def _check(snapshots: list[Tensor], where: str, params: ExpertsParams) -> None:
    """Stop a pool that nothing can be learned from before it costs more.

    Raises:
        NodeFailureError: If the last snapshot holds no numbers, or is the one before it.
    """
    if not bool(torch.isfinite(snapshots[-1]).all()):
        raise NodeFailureError("nan", f"{where}: its parameters are no numbers; lower expert_lr {params.lr:g}")
    if float((snapshots[-1] - snapshots[-2]).square().sum()) == 0.0:  # a matching loss would have no scale
        raise NodeFailureError("failed", f"{where}: it has not moved since the last snapshot (expert_lr {params.lr:g})")


def accuracy(ctx: RunContext, model: nn.Module) -> float:
    """How many of the images of :func:`probe` a network is right about [%]."""
    index = probe(len(ctx.train))
    with torch.no_grad():
        logits = torch.cat([model(ctx.train.images(part)) for part in torch.split(index, 128)])
    return 100.0 * float((logits.argmax(1) == ctx.train.labels[index.to(logits.device)]).double().mean())
