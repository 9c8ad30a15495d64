"""What a pool of experts says about real images: which they classify correctly, and with which logits.

Symbols: E experts, n images, N training images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ddbench.blocks.experts import Experts
from ddbench.blocks.functional import FlatModel
from ddbench.blocks.sampling import class_order
from ddbench.core.api import RunContext

CHUNK = 256


def expert_logits(net: nn.Module, snapshot: Tensor, images: Tensor) -> Tensor:
    """Logits of one snapshot, without augmentation: [n, K].

    Args:
        net: A network of the experts' architecture; its own parameters do not matter.
        snapshot: [P].
        images: [n, C, H, W].
    """
    model, parameters = FlatModel.of(net), snapshot.to(images)
    with torch.no_grad():
        return torch.cat([model(parameters, part) for part in torch.split(images, CHUNK)])


def pool_logits(net: nn.Module, experts: Experts, images: Tensor, t: int) -> Iterator[Tensor]:
    """The logits of every expert at snapshot ``t``, one expert after the other: E × [n, K]."""
    for expert in range(len(experts)):
        yield expert_logits(net, experts.snapshot(expert, t), images)


def correct_first(ctx: RunContext, net: nn.Module, experts: Experts, times: int = 1) -> Tensor:
    """The first images of each class, in the repetition's order, that an expert classifies correctly at its end.

    Expert 0 decides; where a class has too few such images, those that expert 1, 2, … classifies correctly join. One
    of which even the whole pool knows too few is filled up with its first other images, and a warning says so.

    Args:
        ctx: The run.
        net: A network of the experts' architecture.
        experts: The pool.
        times: How many images to choose for each one of the budget.

    Returns:
        [n] int64 indices into train, class-major, on the CPU (DATM's ``samples_predicted_correctly``; its code would
        search for ever in the last case).
    """
    chosen = []
    short: list[tuple[int, int]] = []
    wanted = [n * times for n in ctx.per_class]
    for c, n in enumerate(wanted):
        order = class_order(ctx, c)
        known = torch.zeros(len(order), dtype=torch.bool)
        for expert in range(len(experts)):
            if int(known.sum()) >= n:
                break
            _mark_correct(ctx, net, experts.snapshot(expert, experts.last), c, order, known, n)
        if int(known.sum()) < n:
            short.append((int(known.sum()), c))
        chosen.append(_first(order, known, n))
        ctx.progress(c + 1, len(ctx.per_class), "expert-correct images")
    if short:
        found, c = min(short)
        ctx.warn(
            f"{len(short)} of {len(ctx.per_class)} classes have too few images that an expert gets right (class "
            f"{ctx.dataset.class_names[c]}: {found} of {wanted[c]}); other images of the class fill up"
        )
    return torch.cat(chosen)


def _mark_correct(
    ctx: RunContext, net: nn.Module, snapshot: Tensor, c: int, order: Tensor, known: Tensor, n: int
) -> None:
    """Mark in ``known`` which images of class ``c`` the snapshot knows, in order, until n are."""
    for place in torch.split(torch.arange(len(order)), CHUNK):
        if int(known.sum()) >= n:
            break
        logits = expert_logits(net, snapshot, ctx.train.images(order[place]))
        known[place] |= (logits.argmax(1) == c).cpu()


def _first(order: Tensor, preferred: Tensor, n: int) -> Tensor:
    """The first n preferred entries of ``order``, then the first others."""
    return torch.cat([order[preferred], order[~preferred]])[:n]


def average_where_correct(logits: Sequence[Tensor] | Iterator[Tensor], labels: Tensor) -> Tensor:
    """The mean of each image's logits over the experts that classify it correctly; over all where none does.

    Args:
        logits: E × [n, K].
        labels: [n] int64.

    Returns:
        [n, K].
    """
    right, everyone, votes, count = None, None, torch.zeros(len(labels), 1), 0
    for one in logits:
        hit = (one.argmax(1) == labels.to(one.device)).to(one).unsqueeze(1)
        right = one * hit if right is None else right + one * hit
        everyone = one if everyone is None else everyone + one
        votes, count = votes.to(one) + hit, count + 1
    if right is None or everyone is None:
        raise ValueError("no expert, no logits")
    return torch.where(votes > 0, right / votes.clamp_min(1), everyone / count)
