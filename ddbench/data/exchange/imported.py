"""The method `imported`: a set that `ddbench import` stored, as the cell's condensed set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ddbench.core.api import CondensedSet, Images, Method, Preprocess, Recipe, RunContext, State, StorageBytes
from ddbench.core.errors import CorruptFileError, NodeFailureError
from ddbench.core.sets import other_space
from ddbench.core.store.files import atomic_write
from ddbench.data.exchange.params import ImportedParams, SetParams
from ddbench.data.exchange.settle import Settled

FILE = "set.safetensors"
UNKNOWN = "imported, selection unknown: how the set was chosen, and on which images, is not recorded"


class Imported(Method[ImportedParams]):
    """Nothing is computed: the set is read, and pixels are preprocessed as the real images are."""

    condensed: CondensedSet

    def prepare(self, ctx: RunContext) -> None:
        """Read the set."""
        self.condensed, notes = open_set(ctx.artifact("set"), ctx.train)
        for text in (UNKNOWN, *notes):
            ctx.warn(text)

    def done(self, ctx: RunContext) -> bool:
        """At once."""
        return True

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The set."""
        return self.condensed

    def state_dict(self) -> State:
        """There is none."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """There is none."""


def build(ctx: RunContext, folder: Path, params: SetParams) -> None:
    """Refuse: files of users cannot be made anew (reached when an import was damaged after the plan was made).

    Raises:
        NodeFailureError: Always.
    """
    raise NodeFailureError("failed", f"imported set {params.source} is gone: import its files again (`ddbench import`)")


def pack(settled: Settled) -> tuple[bytes, str]:
    """A settled set as the content of ``set.safetensors``, and its content hash, 16 hex digits.

    The hash depends on tensors, their meaning and the recipe: the same set from another kind of file has the same one.
    What was to be told of a file is kept beside them, and not in the hash: of equal sets, that of the first import.
    """
    stored = settled.stored
    parts = {name: getattr(stored, name) for name in ("images", "labels", "weights", "classes", "initial")}
    tensors = {name: part.contiguous() for name, part in parts.items() if part is not None}
    facts = {
        "pixels": settled.pixels,
        "label_space": stored.label_space,
        "preprocess": None if stored.preprocess is None else stored.preprocess.model_dump(),
        "recipe": stored.recipe.model_dump(by_alias=True),
    }

    def content(more: Mapping[str, Any]) -> bytes:
        return save(tensors, metadata={"set": json.dumps({**facts, **more}, sort_keys=True)})

    return content({"warnings": list(settled.warnings)}), hashlib.sha256(content({})).hexdigest()[:16]


def write(folder: Path, content: bytes) -> None:
    """Put it into an artifact's folder."""
    atomic_write(folder / FILE, content)


def open_set(folder: Path, train: Images) -> tuple[CondensedSet, tuple[str, ...]]:
    """An imported set in the space of ``train``, and what a reader of the table must know.

    Raises:
        NodeFailureError: If the set lives in a space of other constants or matrices.
        CorruptFileError: If the file is damaged.
    """
    try:
        with safe_open(str(folder / FILE), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts: Mapping[str, Any] = json.loads((file.metadata() or {})["set"])
        recipe = Recipe.model_validate(facts["recipe"])
        declared = None if facts["preprocess"] is None else Preprocess.model_validate(facts["preprocess"])
        images, labels = tensors["images"], tensors["labels"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise CorruptFileError(f"{folder / FILE}: {error}") from error
    if declared is not None and declared != train.preprocess:
        raise NodeFailureError("failed", other_space(declared, train.preprocess))
    size = StorageBytes(
        images=images.numel() * images.element_size(),
        labels=labels.numel() * (4 if labels.is_floating_point() else 1),
        lrs=4 * recipe.stored_rates,
        weights=4 * len(labels) if "weights" in tensors else 0,
        initial=4 * tensors["initial"].numel() if "initial" in tensors else 0,
    )
    if facts["pixels"]:
        top = 255.0 if images.dtype == torch.uint8 else 1.0
        images = train.preprocessed(images.float() / top).cpu()
    aux = {name: tensors[name] for name in ("classes", "initial") if name in tensors}
    condensed = CondensedSet(
        images, labels, facts["label_space"], train.preprocess, recipe, size, weights=tensors.get("weights"), aux=aux
    )
    return condensed, tuple(facts["warnings"])
