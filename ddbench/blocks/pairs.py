"""Pairs of networks as they began and as they ended: what DANCE and NCFM look through.

The files are those of a pool of experts with two snapshots (:class:`ddbench.blocks.experts.Experts`).
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from ddbench.blocks.augment import Composed, CutMix
from ddbench.blocks.distribution_params import PairsParams
from ddbench.blocks.experts import CHECKPOINT, CHECKPOINT_S, Experts, accuracy, build_each
from ddbench.blocks.features import frozen
from ddbench.blocks.functional import flatten
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.api import RunContext
from ddbench.core.errors import NodeFailureError
from ddbench.core.store.tensors import load_checkpoint, save_state

DROPS = (2 / 3, 5 / 6)
"""Shares of the updates after which the rate falls."""
DROP_FACTOR = 0.2
_VERSION = "pairs 2"


def mild(flip: bool) -> Composed:
    """What networks are trained with: colour and mirroring always, one of shifts, scaling and rotation per batch.

    IDC's augmentation of evaluations, whose cutout gives way to CutMix (Kim et al., ICML 2022, authors' code).
    """
    return Composed(ops=("color", "crop", *(["flip"] if flip else []), "scale", "rotate"))


def build(ctx: RunContext, folder: Path, params: PairsParams) -> None:
    """Build the artifact: ``expert_000.safetensors`` … with snapshots [2, P] and their train_top1 [2].

    A killed build continues: finished pairs stay, and the running one goes on from a checkpoint every minute.

    Raises:
        NodeFailureError: If a network's parameters are no numbers in the end.
    """
    build_each(ctx, folder, params.pairs, "pairs", lambda pair: _train(ctx, folder, params, pair))


def recipe(params: PairsParams, updates: int) -> TrainingRecipe:
    """How a pair's network is trained."""
    return TrainingRecipe(
        updates, params.lr, params.batch, momentum=params.momentum, weight_decay=params.decay, schedule="drops",
        drops=DROPS, drop_factor=DROP_FACTOR,
    )  # fmt: skip


def _train(ctx: RunContext, folder: Path, params: PairsParams, pair: int) -> dict[str, Tensor]:
    name, updates = str(pair), params.epochs * -(-len(ctx.train) // params.batch)
    order, draws, mixing = (
        torch.Generator().manual_seed(ctx.seed("pair", name, use)) for use in ("order", "augmentation", "cutmix")
    )
    augment = mild(ctx.dataset.flip)
    net = ctx.build_model(seed=ctx.seed("pair", name, "model"))

    def augmented(index: Tensor) -> Tensor:
        return augment(ctx.train.images(index), augment.draw(draws, n=len(index)))

    first, first_top1 = flatten(list(net.parameters())).cpu(), accuracy(ctx, net)
    trainer = Trainer(
        net, augmented, ctx.train.labels, recipe(params, updates), order=order,
        mix=CutMix(params.cutmix, ctx.dataset.classes, mixing) if params.cutmix else None,
    )  # fmt: skip
    path = folder / CHECKPOINT
    state = load_checkpoint(path, _VERSION)
    if state is not None and state["pair"] == pair:
        trainer.load(state["trainer"])
        draws.set_state(state["draws"])
        mixing.set_state(state["mixing"])
    saved = time.monotonic()
    while trainer.done < updates:
        trainer.update()
        if time.monotonic() - saved >= CHECKPOINT_S:
            now = {"version": _VERSION, "pair": pair, "trainer": trainer.state()}
            save_state(path, {**now, "draws": draws.get_state(), "mixing": mixing.get_state()})
            saved = time.monotonic()
        ctx.progress(pair * updates + trainer.done, params.pairs * updates, "updates of pairs")
    trained = flatten(list(net.parameters())).cpu()
    if not bool(torch.isfinite(trained).all()):
        raise NodeFailureError("nan", f"pair {pair}: its parameters are no numbers after {updates} updates")
    top1 = torch.tensor([first_top1, accuracy(ctx, net)])
    return {"snapshots": torch.stack([first, trained]).float(), "train_top1": top1}


class Pairs:
    """Networks between the ends of pairs: θ = l θ_first + (1 − l) θ_trained.

    Args:
        ctx: The run; its artifact ``pairs`` is read.
        network: ``between``: l ~ U(0, 1) (DANCE, sec. 3.2); ``first``: l = 1; ``trained``: l = 0.

    Attributes:
        first: θ_first of each pair, [pairs, P].
        trained: θ_trained of each pair, [pairs, P].
    """

    def __init__(self, ctx: RunContext, network: str) -> None:
        pool = Experts(ctx.artifact("pairs"))
        example = ctx.train.images(torch.tensor([0]))
        self._network = network
        self._between, self._end = (_Refilled(frozen(ctx.build_model(seed=0), example)) for _ in range(2))
        self.first, self.trained = (
            torch.stack([pool.snapshot(j, t) for j in range(len(pool))]).to(example) for t in (0, pool.last)
        )

    def draw(self, generator: torch.Generator) -> tuple[nn.Module, nn.Module]:
        """A pair at random: the network that features come from, and the trained one; both valid until the next draw.

        Args:
            generator: Of the CPU.
        """
        j = int(torch.randint(len(self.first), (1,), generator=generator))
        share = float(torch.rand(1, generator=generator, dtype=torch.float64))
        share = {"between": share, "first": 1.0, "trained": 0.0}[self._network]
        between = share * self.first[j] + (1 - share) * self.trained[j]
        return self._between(between), self._end(self.trained[j])


class _Refilled:
    """A network whose parameters are written over, in the memory format that they have."""

    def __init__(self, net: nn.Module) -> None:
        self._net, self._parameters = net, list(net.parameters())
        self._sizes = [parameter.numel() for parameter in self._parameters]

    @torch.no_grad()
    def __call__(self, theta: Tensor) -> nn.Module:
        """The network with parameters ``theta``, [P]."""
        for parameter, part in zip(self._parameters, torch.split(theta, self._sizes), strict=True):
            parameter.copy_(part.view_as(parameter))
        return self._net
