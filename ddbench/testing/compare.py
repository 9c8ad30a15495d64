"""Equality to the bit: of condensed sets, of tensors, and of what a process shares."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddbench.core import process_state
from ddbench.core.api import CondensedSet
from ddbench.core.store.files import sha256_file
from ddbench.work.context import Context

PARTS = ("images", "labels", "indices", "weights")


def fingerprint(tensor: Tensor) -> str:
    """sha256 of a tensor's shape, type and bytes."""
    content = tensor.detach().cpu().contiguous()
    head = f"{tuple(content.shape)} {content.dtype}".encode()
    return hashlib.sha256(head + content.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def difference(first: CondensedSet, second: CondensedSet) -> str | None:
    """How two sets differ, in words; None when they are the same to the bit."""
    for name in PARTS:
        if found := _tensors(name, getattr(first, name), getattr(second, name)):
            return found
    if set(first.aux) != set(second.aux):
        return f"aux holds {sorted(first.aux)} and {sorted(second.aux)}"
    for name in first.aux:
        if found := _tensors(f"aux[{name!r}]", first.aux[name], second.aux[name]):
            return found
    for name in ("label_space", "preprocess", "recipe", "storage"):
        if getattr(first, name) != getattr(second, name):
            return f"{name} is {getattr(first, name)} and {getattr(second, name)}"
    return None


def _tensors(name: str, first: Tensor | None, second: Tensor | None) -> str | None:
    if first is None or second is None:
        return None if first is second else f"{name} is missing in one of them"
    if first.shape != second.shape or first.dtype != second.dtype:
        return f"{name} is {first.dtype} {list(first.shape)} and {second.dtype} {list(second.shape)}"
    if fingerprint(first) == fingerprint(second):
        return None
    unequal = int((first.cpu() != second.cpu()).sum())
    return f"{name} differs in {unequal} of {first.numel()} numbers"


def global_randomness() -> dict[str, str]:
    """Fingerprints of the generators that a process shares."""
    kind, keys, position, *_ = np.random.get_state()
    return {
        "torch": fingerprint(torch.get_rng_state()),
        "numpy": hashlib.sha256(f"{kind} {position}".encode() + np.asarray(keys).tobytes()).hexdigest(),
        "random": hashlib.sha256(repr(random.getstate()).encode()).hexdigest(),
    }


class Settings:
    """What a process shares besides its generators, as it is now (:mod:`ddbench.core.process_state`)."""

    def __init__(self) -> None:
        self._before, self._modules = process_state.settings(), len(sys.modules)

    def touched(self) -> list[str]:
        """What is no longer so."""
        return process_state.changed(self._before, imported=len(sys.modules) != self._modules)

    def restore(self) -> None:
        """Make it so again."""
        process_state.restore(self._before)


@contextmanager
def global_seeds(seed: int) -> Iterator[None]:
    """A block in which the global generators start from ``seed``."""
    legacy, own = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(legacy)
            random.setstate(own)


def tree(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by its path in it."""
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def shared_tensors(ctx: Context) -> dict[str, str]:
    """Fingerprints of what a context lends to the method."""
    lent = {
        "ctx.train.images()": ctx.train.images(),
        "ctx.train.labels": ctx.train.labels,
        "ctx.val.images()": ctx.val.images(),
        "ctx.val.labels": ctx.val.labels,
    }
    lent |= {f"ctx.train.of_class({c})": ctx.train.of_class(c) for c in range(ctx.dataset.classes)}
    return {name: fingerprint(tensor) for name, tensor in lent.items()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names whose values differ."""
    return [name for name in before if before[name] != after[name]]
