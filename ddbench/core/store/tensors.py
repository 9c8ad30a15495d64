"""Tensors in safetensors plus JSON: nested states (checkpoints) and condensed sets.

Imports torch when called, unless NumPy is asked for.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ValidationError

from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.core.errors import CorruptFileError, NewerRecordError, first_problem, is_later
from ddbench.core.sets import SCHEMAS
from ddbench.core.store.files import StoreWarning, atomic_write, set_aside

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR = "__tensor__"
_PAIRS = "__pairs__"
_SEEN = ("images", "labels", "indices", "aux.classes", "aux.codes")
"""What of a set pictures show; the rest may be of types that NumPy does not have."""

Framework: TypeAlias = Literal["pt", "numpy"]
"""Whose arrays a file is read into."""


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a nested dict/list of Tensor | int | float | str | bool | None.

    Raises:
        TypeError: If the state holds anything else; the message says where.
        StoreError: If the file cannot be written.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    tree = _flatten(state, "state", tensors)
    atomic_write(path, save(tensors, metadata={"tree": json.dumps(tree)}))


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote, on the CPU.

    Raises:
        CorruptFileError: If the file is cut short or not a state.
    """
    tensors, metadata = _open(path)
    try:
        state = _rebuild(json.loads(metadata["tree"]), tensors)
    except (KeyError, ValueError) as error:
        raise CorruptFileError(f"{path}: not a state file ({error})") from None
    assert isinstance(state, dict)
    return state


def load_checkpoint(path: Path, version: str) -> dict[str, Any] | None:
    """A builder's checkpoint, or None to start over: there is none, it is damaged, or other code wrote it.

    Args:
        path: Where :func:`save_state` put it.
        version: What the state's field ``version`` must say.
    """
    if not path.exists():
        return None
    try:
        state = load_state(path)
        if state.get("version") != version:
            raise CorruptFileError(f"{path}: written by another version")
    except CorruptFileError as error:
        warnings.warn(f"{error}; starting over", StoreWarning, stacklevel=2)
        set_aside(path)
        return None
    return state


def tensors_of(condensed: CondensedSet) -> dict[str, Tensor]:
    """The tensors of a condensed set under their names in ``condensed.safetensors``."""
    parts = {name: getattr(condensed, name) for name in ("images", "labels", "indices", "weights")}
    parts |= {f"aux.{name}": tensor for name, tensor in condensed.aux.items()}
    return {name: tensor for name, tensor in parts.items() if tensor is not None}


def save_set(path: Path, condensed: CondensedSet) -> None:
    """Write a condensed set as ``condensed.safetensors``."""
    from safetensors.torch import save

    size = condensed.storage
    facts = {
        "label_space": condensed.label_space,
        "preprocess": condensed.preprocess.model_dump(),
        "recipe": condensed.recipe.model_dump(by_alias=True),
        "storage": {
            name: value
            for name in StorageBytes.__dataclass_fields__
            if (value := getattr(size, name)) or name not in ("weights", "initial")  # parts that came later
        },
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors_of(condensed).items()}
    atomic_write(path, save(tensors, metadata={"ddbench_set": json.dumps(facts)}))


def load_set(path: Path, framework: Framework = "pt") -> CondensedSet:
    """Read a condensed set, on the CPU.

    Args:
        path: Its file.
        framework: ``numpy``: what is needed to look at the set, as arrays and without torch; no other ``aux``.

    Raises:
        CorruptFileError: If the file is cut short or not a condensed set.
        NewerRecordError: If its recipe is one of a newer ddbench.
    """
    tensors, metadata = _open(path, framework)
    if "ddbench_set" not in metadata:
        raise CorruptFileError(f"{path}: not a condensed set of ddbench, which says so in its metadata (ddbench_set)")
    try:
        facts = json.loads(metadata["ddbench_set"])
        schema = facts["recipe"].get("schema")
        if is_later(schema, max(SCHEMAS)):
            raise NewerRecordError(str(path), f"recipe of schema {schema}")
        return CondensedSet(
            images=tensors.get("images"),
            labels=tensors["labels"],
            label_space=facts["label_space"],
            preprocess=Preprocess.model_validate(facts["preprocess"]),
            recipe=Recipe.model_validate(facts["recipe"]),
            storage=StorageBytes(**facts["storage"]),
            indices=tensors.get("indices"),
            weights=tensors.get("weights"),
            aux={name.removeprefix("aux."): part for name, part in tensors.items() if name.startswith("aux.")},
        )
    except ValidationError as error:
        raise CorruptFileError(f"{path}: not a condensed set ({first_problem(error)})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"{path}: not a condensed set ({error})") from None


def _open(path: Path, framework: Framework = "pt") -> tuple[dict[str, Any], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework=framework) as file:
            wanted = [name for name in file.keys() if framework == "pt" or name in _SEEN]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in wanted}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CorruptFileError(f"{path}: no safetensors file, or cut short ({error})") from None


def _flatten(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        tensors[place] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: place}
    if isinstance(value, Mapping):
        if odd := [name for name in value if not isinstance(name, str | int) or isinstance(name, bool)]:
            raise TypeError(f"state_dict: {place} has the key {odd[0]!r}; use str or int")
        items = {name: _flatten(item, f"{place}.{name}", tensors) for name, item in value.items()}
        # JSON has keys of text alone: those of an optimiser's state are numbers, and must come back as such.
        return items if all(isinstance(name, str) for name in items) else {_PAIRS: list(items.items())}
    if isinstance(value, list | tuple):
        return [_flatten(item, f"{place}.{i}", tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"state_dict: {place} is of type {type(value).__name__}; use Tensor, int, float, str, bool, None, dict or list"
    )


def _rebuild(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(tree, dict):
        if _TENSOR in tree:
            return tensors[tree[_TENSOR]]
        pairs = tree[_PAIRS] if _PAIRS in tree else tree.items()
        return {name: _rebuild(item, tensors) for name, item in pairs}
    return [_rebuild(item, tensors) for item in tree] if isinstance(tree, list) else tree
