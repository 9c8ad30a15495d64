"""What is wrong with a suite or another document of options, in words, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from ddbench.core.errors import MOST_SHOWN, UsageError, with_value
from ddbench.core.names import folded
from ddbench.core.specs import Frozen
from ddbench.plan.mending import Mender, Words, at, first, form, written

M = TypeVar("M", bound=Frozen)


def checked(
    model: type[M],
    content: Mapping[str, Any],
    where: str,
    levels: Mapping[str, type[Frozen]],
    words: Words | None = None,
) -> M:
    """A mapping as a model.

    Args:
        model: What it should be.
        content: The mapping.
        where: File name or ``command line``, for messages.
        levels: Models of what stands below keys, its own and those further down, for messages.
        words: What people write that is none of its keys, for messages.

    Raises:
        UsageError: If a key is unknown or a value impossible.
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        mender = Mender(model, levels, words or Words())
        raise UsageError(f"{where}: {_explain(first(error.errors()), mender, content)}") from None


def _explain(problem: Mapping[str, Any], mender: Mender, content: Mapping[str, Any]) -> str:
    """A problem in words: a misspelled key comes before the one that is then missing."""
    place = problem["loc"]
    if problem["type"] == "missing":
        return f"{'.'.join(map(str, place))} is missing"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(problem, mender, content)
    texts = (written(content, found, place, mender.words) for found in mender.mended(content, problem))
    wanted = next(filter(None, texts), None)
    return with_value(problem) + (f": write `{wanted}`" if wanted else "")


def _unknown_key(problem: Mapping[str, Any], mender: Mender, content: Mapping[str, Any]) -> str:
    """What is said of a key that there is none of: what to write, the nearest key, or all keys."""
    place = problem["loc"]
    level, said = mender.level_of(place), f"unknown key {'.'.join(map(str, place))!r}"
    key, value, above = str(place[-1]), at(content, place), place[:-1]
    like, known, places = mender.like(key, level), mender.known(level), mender.places(level)
    near = next((name for name in like if name in known), None)
    rest = {name: one for name, one in (at(content, above) or {}).items() if name != key}
    mended = [*mender.mended(content, problem)]
    texts = [text for found in mended if (text := written(content, found, place, mender.words))]
    if texts and (near is None or [at(found, above) for found in mended] != [{**rest, near: value}]):
        return f"{said}: write {_either(texts)}"
    if near is not None:
        return f"{said}; did you mean {near}?"
    if like and like[0] in (*mender.words.options, *mender.words.screen):
        return f"{said}: {_option(like[0], value, mender.words)}"
    if like:
        return f"{said}: write {_either(form(one, mender.words) for one in places[like[0]])}"
    if level and (outer := mender.outer().get(folded(key))):
        return f"{said}: write {_either(form(one, mender.words) for one in outer)} outside of {level}"
    return f"{said}; known keys: {', '.join(known)}"


def _either(texts: Iterable[str]) -> str:
    return " or ".join(f"`{text}`" for text in dict.fromkeys(texts))


def _option(name: str, value: Any, words: Words) -> str:
    """What is said of an option of the command in a document."""
    has_value = isinstance(value, str | int | float) and not isinstance(value, bool)
    option = f"--{name.replace('_', '-')}" + (f" {value}" if has_value and len(str(value)) <= MOST_SHOWN else "")
    python = f"; in Python the argument {name}" if name in words.options else ""
    return f"it is no key but an option of the command (`{option}`{python})"
