"""Whether a proxy net is worth asking what images are like: its parameters are numbers, and it learned."""

from __future__ import annotations

import math

import torch
from torch import nn

from ddbench.core.api import RunContext
from ddbench.core.errors import NodeFailureError


def refuse_diverged(net: nn.Module, epoch: int, lr: float) -> None:
    """Fail the build of an artifact whose network diverged.

    Args:
        net: The network.
        epoch: After which epoch it is looked at.
        lr: Its learning rate at first.

    Raises:
        NodeFailureError: With status ``nan``, and the advice to lower ``lr``.
    """
    if not all(bool(torch.isfinite(one).all()) for one in net.parameters()):
        raise NodeFailureError("nan", f"the proxy net's parameters are no numbers by epoch {epoch}: lower lr {lr:g}")


def tell_unless_learned(ctx: RunContext, accuracy: float) -> None:
    """Say in the record that a proxy net hardly learned anything, if so.

    Args:
        ctx: The run.
        accuracy: The share of the training images that the network gets right at the end.
    """
    labels = ctx.train.labels
    if accuracy <= chance(float(labels.bincount().max()) / len(labels), len(labels)):
        ctx.warn(
            "in the end the proxy net got hardly more training images right than the commonest class has: what it says "
            "of images means little"
        )


def chance(commonest: float, n: int) -> float:
    """The share of n images that a network may get right which never learned, in [0, 1].

    A tenth more than the commonest class has, and three standard deviations of as many guesses, if that is more; half
    of the other images are always too many for chance.

    Args:
        commonest: The share p of the commonest class.
        n: How many images.
    """
    guessed = commonest + 3 * math.sqrt(commonest * (1 - commonest) / n)
    return min(max(1.1 * commonest, guessed), (1 + commonest) / 2)
