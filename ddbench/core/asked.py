"""What people write: a boolean there is no number, though Python takes True for 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationInfo, field_validator

from ddbench.core.specs import Frozen


def mistaken(value: Any, annotation: Any) -> str | None:
    """What is said of a boolean, alone or in a list, where numbers and no booleans may stand; None: there is none such.

    Args:
        value: What was written.
        annotation: What a field says of its values.
    """
    boolean = next((one for one in _single(value) if isinstance(one, bool)), None)
    if boolean is None:
        return None
    kinds = _kinds(annotation)
    return f"{boolean} is no number" if {int, float} & kinds and not {bool, Any, object} & kinds else None


def _single(value: Any) -> Iterator[Any]:
    """The values in lists and mappings, at any depth; one that is neither is its own."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _single(one)
    else:
        yield value


def _kinds(annotation: Any) -> set[Any]:
    """The types of single values in an annotation: of ``tuple[int, ...] | None`` int and NoneType."""
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    if isinstance(annotation, list):  # the arguments of a Callable
        return set()
    parts = get_args(annotation)
    return set().union(*map(_kinds, parts)) if parts else {annotation}


class Asked(Frozen):
    """A record of what is asked for."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name is not None and (why := mistaken(value, cls.model_fields[info.field_name].annotation)):
            raise ValueError(why)
        return value
