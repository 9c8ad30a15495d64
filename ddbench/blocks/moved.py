"""How far a distiller's images moved from where they started."""

from __future__ import annotations

import torch
from torch import Tensor

from ddbench.blocks.experts import probe
from ddbench.blocks.parametrize import Parametrisation
from ddbench.core.api import RunContext

VISIBLE = 0.1
"""A pixel moved if it did by more than this [standard deviations of real pixels]."""


def image_change(first: Tensor, last: Tensor) -> float:
    """‖X − X₀‖ / ‖X₀‖ of what is stored, [m, C, h, w] each."""
    return float((last - first).norm() / first.norm())


def how_far(ctx: RunContext, form: Parametrisation, first: Tensor, last: Tensor) -> dict[str, float]:
    """``image_change`` and :func:`pixels_moved`, with its arguments: what distillers of images say of their run."""
    return {"image_change": image_change(first, last)} | pixels_moved(ctx, form, first, last)


def pixels_moved(ctx: RunContext, form: Parametrisation, first: Tensor, last: Tensor) -> dict[str, float]:
    """How far the pixels that networks see moved.

    Args:
        ctx: The run.
        form: How what is stored decodes to images.
        first: What was stored at first, [m, C, h, w].
        last: What is stored now.

    Returns:
        ``pixel_moved``: mean |X − X₀| [standard deviations of real pixels in the space of the networks];
        ``moved_percent``: share of pixels that moved by more than :data:`VISIBLE` of these [%].
    """
    real = ctx.train.images(probe(len(ctx.train)))
    with torch.no_grad():
        moved = (form.decode(last) - form.decode(first)).abs() / real.std().to(last)
    return {"pixel_moved": float(moved.mean()), "moved_percent": 100 * float((moved > VISIBLE).double().mean())}
