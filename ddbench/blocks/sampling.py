"""Which real images a method sees: the repetition's shared order of each class, and random batches per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ddbench.blocks.dynamics_params import Balance
from ddbench.core.api import RunContext


def class_order(ctx: RunContext, c: int, draw: int = 0) -> Tensor:
    """The repetition's permutation of the training images of class ``c``, the same for every method and budget.

    Args:
        ctx: The run.
        c: Class.
        draw: Which permutation; all but 0, the one that everyone shares, are for those who need several.

    Returns:
        [n_c] int64 indices into train, on the CPU. ``random`` keeps the first ones; filters keep the first that pass.
    """
    members = ctx.train.of_class(c).cpu()
    generator = torch.Generator().manual_seed(ctx.seed("random", str(c), *([f"draw {draw}"] if draw else [])))
    return members[torch.randperm(len(members), generator=generator)]


def whole_order(ctx: RunContext) -> Tensor:
    """The repetition's permutation of all training images, for choices among all classes: [N] int64, on the CPU."""
    return torch.randperm(len(ctx.train), generator=torch.Generator().manual_seed(ctx.seed("random", "all")))


class Group(NamedTuple):
    """Images among which some are chosen.

    Attributes:
        members: [m] int64 indices into train, on the CPU.
        n: How many are chosen of them.
        c: Their class; None where they are of all classes.
    """

    members: Tensor
    n: int
    c: int | None


def groups(ctx: RunContext, balance: Balance, *, shuffled: bool) -> list[Group]:
    """Each class that the budget gives images, or all images together, of which the record says so.

    Args:
        ctx: The run.
        balance: Which.
        shuffled: Members in the repetition's order, for rules that let the first of equals win; else ascending.
    """
    if balance == "global":
        ctx.warn("classes are not balanced: the images of all of them compete (balance: global)")
        return [Group(whole_order(ctx) if shuffled else torch.arange(len(ctx.train)), sum(ctx.per_class), None)]
    return [
        Group(class_order(ctx, c) if shuffled else ctx.train.of_class(c).cpu(), n, c)
        for c, n in enumerate(ctx.per_class)
        if n
    ]


def first_of_each_class(ctx: RunContext, times: int = 1, draw: int = 0) -> Tensor:
    """The first images of each class in the repetition's order, as many as the budget gives it, or ``times`` as many.

    ``draw``: which of its permutations, see :func:`class_order`.

    Returns:
        [n] int64 indices into train, class-major, on the CPU: what ``random`` keeps, and where distillers start.
    """
    return torch.cat([class_order(ctx, c, draw)[: n * times] for c, n in enumerate(ctx.per_class)])


class ClassSampler:
    """Draws distinct random images of each class: uniform without replacement in a draw, independent between draws.

    Args:
        members: For each class, [n_c] int64 indices into train, n_c ≥ 1.

    Raises:
        ValueError: If a class is empty.
    """

    def __init__(self, members: Sequence[Tensor]) -> None:
        self._sizes = [len(indices) for indices in members]
        if min(self._sizes, default=0) < 1:
            raise ValueError("cannot sample from a class without images")
        self._table = torch.nn.utils.rnn.pad_sequence([indices.cpu() for indices in members], batch_first=True)
        self._padding = torch.arange(self._table.shape[1]) >= torch.tensor(self._sizes)[:, None]

    def counts(self, n: int) -> list[int]:
        """Images per class that a draw of ``n`` yields: all of a class that has fewer."""
        return [min(n, size) for size in self._sizes]

    def real(self, c: int, n: int, generator: torch.Generator) -> Tensor:
        """``min(n, n_c)`` distinct random images of the sampler's class number ``c``: [·] int64 indices into train."""
        return self._table[c, torch.randperm(self._sizes[c], generator=generator)[:n]]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Such a draw for every class at once.

        Args:
            n: Images per class.
            generator: Of the CPU.

        Returns:
            [Σ counts(n)] int64 indices into train, class-major, on the CPU.
        """
        # The n smallest of n_c uniforms are a random subset; padding is larger than any uniform.
        keys = torch.rand(self._table.shape, generator=generator).masked_fill(self._padding, 2.0)
        smallest = keys.topk(min(n, keys.shape[1]), largest=False).indices
        kept = ~self._padding.gather(1, smallest)
        return self._table.gather(1, smallest)[kept]
