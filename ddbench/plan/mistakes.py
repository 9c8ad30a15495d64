"""What is wrong with a suite or another document of options, in words, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from ddbench.core.errors import MOST_SHOWN, UsageError, with_value
from ddbench.core.names import nearest
from ddbench.core.specs import Frozen

M = TypeVar("M", bound=Frozen)


def checked(model: type[M], content: Mapping[str, Any], where: str, levels: Mapping[str, type[Frozen]]) -> M:
    """A mapping as a model.

    Args:
        model: What it should be.
        content: The mapping.
        where: File name or ``command line``, for messages.
        levels: Models of what stands below keys, its own and those further down, for messages.

    Raises:
        UsageError: If a key is unknown or a value impossible.
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        advice = _advice(problem["loc"], model, content, levels)
        raise UsageError(f"{where}: {_explain(problem, model, levels)}{advice}") from None


def _explain(problem: Mapping[str, Any], model: type[Frozen], levels: Mapping[str, type[Frozen]]) -> str:
    """A problem in words: a misspelled key comes before the one that is then missing."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        level = next((levels[part] for part in reversed(problem["loc"][:-1]) if part in levels), model)
        known = [field.alias or name for name, field in level.model_fields.items()]
        near = nearest(str(problem["loc"][-1]), known)
        return f"unknown key {place!r}" + (
            f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(known)}"
        )
    if problem["type"] == "missing":
        return f"{place} is missing"
    return with_value(problem)


def _advice(
    place: Sequence[Any], model: type[Frozen], content: Mapping[str, Any], levels: Mapping[str, type[Frozen]]
) -> str:
    """``: write `seeds: {condense: 5}```, where the value would do in a list, or under a key of the level below."""
    key, *inner = [*map(str, place)] or [""]
    if key not in content or len(inner) > 1:
        return ""
    value = content[key]
    if not inner:
        wanted = _wrapped(value, levels.get(key))
    elif isinstance(value, Mapping) and inner[0] in value:
        wanted = ({**value, inner[0]: listed} for listed in _wrapped(value[inner[0]], None))
    else:
        return ""
    for instead in wanted:
        try:
            model.model_validate({**content, key: instead})
        except ValidationError as other:
            if any(problem["loc"][:1] == (key,) for problem in other.errors()):
                continue
        return _written({key: instead})
    return ""


def _written(content: Mapping[str, Any]) -> str:
    try:
        text = yaml.safe_dump(dict(content), default_flow_style=True, width=10_000, allow_unicode=True).strip()[1:-1]
    except (yaml.YAMLError, ValueError):  # an integer of thousands of digits has no text
        return ""
    return f": write `{text}`" if len(text) <= MOST_SHOWN else ""


def _wrapped(value: Any, level: type[Frozen] | None) -> Iterator[Any]:
    """What a value may stand for: a list of it, or it under a key of the level below."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        yield [value]
    elif isinstance(value, Mapping):
        yield [dict(value)]
    for name in () if level is None or isinstance(value, Mapping) else level.model_fields:
        yield {name: value}
        if not isinstance(value, list | tuple):
            yield {name: [value]}
