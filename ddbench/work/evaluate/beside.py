"""A set beside another one, by whose recipe it is trained: what the recipe takes for granted of images and labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ddbench.blocks.ridge import centred
from ddbench.core.api import CondensedSet


def beside(condensed: CondensedSet, like: CondensedSet) -> CondensedSet:
    """A set as the recipe of another one wants it.

    Fixed batches need an order of classes: that of the other set (:func:`arranged`). Where the other set's labels are
    centred, hard ones are learned as onehot − 1/K: else students of one recipe would learn targets with two means.

    Args:
        condensed: The set.
        like: The other one, with its recipe.
    """
    if like.recipe.order == "fixed":
        condensed = arranged(condensed, like)
    if like.label_space == "centred" and condensed.label_space == "hard":
        targets = centred(condensed.labels, like.labels.shape[1]).float()
        aux = {**condensed.aux, "classes": condensed.labels}
        condensed = replace(condensed, labels=targets, label_space="centred", aux=aux)
    return condensed


def arranged(condensed: CondensedSet, like: CondensedSet) -> CondensedSet:
    """A set whose classes follow each other as those of another one do.

    Where the two have different numbers of images of a class, its classes take turns: the first image of each, then
    the second ones. Images of one class keep their order. A class-major set would show a student one class at a time.

    Args:
        condensed: The set.
        like: The other one.
    """
    mine, theirs = _classes(condensed), _classes(like)
    if Counter(mine.tolist()) == Counter(theirs.tolist()):
        order = torch.empty(len(mine), dtype=torch.int64)
        order[theirs.argsort(stable=True)] = mine.argsort(stable=True)
    else:
        seen: Counter[int] = Counter()
        turns = []
        for place, c in enumerate(mine.tolist()):
            turns.append((seen[c], c, place))
            seen[c] += 1
        order = torch.tensor([place for _, _, place in sorted(turns)])
    parts: dict[str, Any] = {name: getattr(condensed, name) for name in PARTS}
    parts = {name: None if part is None else part[order.to(part.device)] for name, part in parts.items()}
    aux = dict(condensed.aux)
    if (slots := aux.get("classes")) is not None:
        aux["classes"] = slots[order.to(slots.device)]
    return replace(condensed, **parts, aux=aux)


PARTS = ("images", "labels", "indices", "weights")
"""What a set has of each image."""


def _classes(condensed: CondensedSet) -> Tensor:
    """The class that each image stands for: [n] int64, on the CPU."""
    labels = condensed.labels
    found = labels if labels.ndim == 1 else condensed.aux.get("classes", labels.argmax(1))
    return found.cpu()
