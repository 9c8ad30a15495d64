"""Whether students can follow a set's recipe: asked when the set is made, not when the first of them fails."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ddbench.core.api import CondensedSet
from ddbench.core.errors import UsageError
from ddbench.models.names import with_norm
from ddbench.work.context import Context


def problems_of_recipe(condensed: CondensedSet, ctx: Context, own_student: bool) -> Iterator[str]:
    """What of a set's recipe no student could follow, the gravest first.

    Args:
        condensed: The set.
        ctx: The cell's, whose network students have.
        own_student: What ``Params.own_student`` says.
    """
    recipe = condensed.recipe
    if recipe.lr is not None and not math.isfinite(recipe.lr):
        yield f"its recipe has the learning rate {recipe.lr}"
    arch = ctx.arch
    if recipe.norm is not None:
        try:
            arch = with_norm(arch, recipe.norm, ctx.registries.architectures)
        except UsageError as error:
            yield f"its recipe asks for students with norm {recipe.norm!r}: {error}"
            return
    yield from _problems_of_start(condensed, ctx, arch, own_student)


def _problems_of_start(condensed: CondensedSet, ctx: Context, arch: str, own_student: bool) -> Iterator[str]:
    """What is wrong with the state that students of ``arch`` start from."""
    wanted, state = condensed.recipe.initial, condensed.aux.get("initial")
    if wanted != own_student:
        yield f"its recipe says initial={wanted}, but Params.own_student is {own_student}: both say the same"
    if wanted != (state is not None):
        holds = "holds none in aux" if state is None else "holds one in aux"
        yield f"its recipe says initial={wanted}, but the set {holds}"
    if state is None:
        return
    size = sum(one.numel() for one in ctx.build_model(arch, seed=0).parameters())
    if state.dtype != torch.float32 or list(state.shape) != [size]:
        yield f"its initial state is {state.dtype} {list(state.shape)}; {arch} has [{size}] parameters of torch.float32"
    elif not bool(state.isfinite().all()):
        yield "its initial state is not finite"
    if condensed.storage.initial != 4 * len(state):
        yield f"storage.initial is {condensed.storage.initial} bytes for {len(state)} parameters of 4"
