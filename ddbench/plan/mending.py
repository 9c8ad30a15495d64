"""What a wrong document of options may have been meant to say: changes to it, each tried before it is advised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from ddbench.core.errors import MOST_SHOWN
from ddbench.core.names import folded, nearest
from ddbench.core.specs import Frozen

MOST_TRIES = 200
"""Changes that are tried for one mistake."""
ENTRY = "*"
"""In a place: the one entry of a list."""
GAP = "…"
LIKE = 0.85
"""Likeness from which a word counts as one for a place or an option; keys are more easily meant."""


@dataclass(frozen=True, slots=True)
class Words:
    """What people write in a document that is none of its keys.

    Attributes:
        places: What is written at a level (the key that it stands below, of the document itself ``""``), and the places
            below that level that it may stand for: ``seeds.evaluate``, ``datasets.*.view``; ``""``: its own keys do.
        others: The field of a level that holds what is none of the level's keys.
        values: What the value of a key may stand for in a document.
        options: What is an option of the command, and an argument in Python.
        screen: What is an option of the command alone.
        arguments: In Python, the arguments that stand for places (``seeds.evaluate``); None: the document is YAML.
    """

    places: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Any]]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    screen: tuple[str, ...] = ()
    arguments: Mapping[str, str] | None = None


class Mender:
    """Looks for changes to a document after which what was wrong is right.

    Args:
        model: What the document should be.
        levels: Models of what stands below keys.
        words: What people write.
    """

    def __init__(self, model: type[Frozen], levels: Mapping[str, type[Frozen]], words: Words) -> None:
        self.model, self.levels, self.words = model, levels, words
        self._tried: list[Any] = []

    def level_of(self, place: Sequence[Any]) -> str:
        """The key that a place stands below, as far as its keys are known; ``""``: the document itself."""
        return next((part for part in reversed(place[:-1]) if part in self.levels), "")

    def known(self, level: str) -> list[str]:
        """The keys of a level, as they are written."""
        model = self.levels.get(level, self.model)
        return [found.alias or name for name, found in model.model_fields.items()]

    def places(self, level: str) -> dict[str, Sequence[str]]:
        """What may be written at a level for what stands below it: keys of its mappings, and what words say."""
        fields = self.levels.get(level, self.model).model_fields
        mappings = [name for name in fields if name in self.levels and not _is_list(fields[name].annotation)]
        below = {key: (f"{name}.{key}",) for name in mappings for key in self.known(name) if key not in fields}
        return {**below, **self.words.places.get(level, {})}

    def outer(self) -> dict[str, Sequence[str]]:
        """The document's own keys, and words for what stands below them, folded, with their places."""
        words = {name: (name,) for name in self.known("")} | self.places("")
        return {folded(name): places for name, places in words.items() if not any(ENTRY in one for one in places)}

    def like(self, key: str, level: str) -> list[str]:
        """The keys, and the other words for places and options, that a key at a level resembles, the best first."""
        known = self.known(level)
        every = [*known, *self.places(level), *self.words.options, *self.words.screen]
        return nearest(key, every, cutoffs=(LIKE,)) or nearest(key, known)

    def mended(self, content: Mapping[str, Any], problem: Mapping[str, Any]) -> Iterator[Any]:
        """The document with a change after which the problem, and what is near it, is gone.

        Args:
            content: The document.
            problem: One of a pydantic ValidationError's ``errors()`` on it.
        """
        yield from self._mended(content, content, problem)

    def _mended(self, origin: Any, content: Any, problem: Mapping[str, Any]) -> Iterator[Any]:
        for candidate in self._candidates(content, problem):
            if candidate in self._tried or len(self._tried) == MOST_TRIES:
                continue
            self._tried.append(candidate)
            places = _changed(origin, candidate)
            left = [one for one in self._problems(candidate) if any(_meet(one["loc"], place) for place in places)]
            if left:
                yield from islice(self._mended(origin, candidate, first(left)), 1)
            else:
                yield candidate

    def _problems(self, content: Any) -> list[Any]:
        try:
            self.model.model_validate(content)
        except ValidationError as error:
            return [*error.errors()]
        return []

    def _candidates(self, content: Any, problem: Mapping[str, Any]) -> Iterator[Any]:
        if not problem["loc"]:
            return
        *above, key = problem["loc"]
        root = problem["loc"][0]
        if root in content and root in self.words.values:
            for instead in self.words.values[root](content):
                yield {**content, root: instead}
        inside = at(content, above)
        if not isinstance(inside, Mapping) or key not in inside:
            return
        rest, value = {name: one for name, one in inside.items() if name != key}, inside[key]
        if problem["type"] != "extra_forbidden":
            for instead in _instead(value, self.levels.get(key), self._annotation(key, problem["loc"])):
                yield _with(content, above, {**inside, key: instead})
            return
        level = self.level_of(problem["loc"])
        if "name" in self.known(level) and "name" not in inside and (value is None or isinstance(value, Mapping)):
            yield _with(content, above, {"name": key, **rest, **(value or {})})
        for place in self._meant(key, value, level):
            moved = _placed(rest, place.split("."), value)
            if moved is not None:
                yield _with(content, above, moved)

    def _annotation(self, key: str, place: Sequence[Any]) -> Any:
        fields = self.levels.get(self.level_of(place), self.model).model_fields
        return next((one.annotation for name, one in fields.items() if key in (name, one.alias)), None)

    def _meant(self, key: str, value: Any, level: str) -> Iterator[str]:
        """Places that a key which is unknown at a level may stand for."""
        places, options = self.places(level), {*self.words.options, *self.words.screen}
        for name in self.like(key, level):
            yield from places.get(name, () if name in options else (name,))
        elsewhere = {*self.outer(), *map(folded, options)}
        if level in self.words.others and folded(key) not in elsewhere and not isinstance(value, Mapping | None):
            yield f"{self.words.others[level]}.{key}"


def first(problems: Sequence[Any]) -> Any:
    """The problem that is told: of several an unknown key, which may be why another one is missing."""
    return min(problems, key=lambda found: found["type"] != "extra_forbidden")


def at(content: Any, place: Sequence[Any]) -> Any:
    """What stands at a place; None: nothing."""
    for part in place:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _with(content: Any, place: Sequence[Any], value: Any) -> Any:
    """A copy of a document with another value at a place."""
    if not place:
        return value
    instead = _with(content[place[0]], place[1:], value)
    if isinstance(content, Mapping):
        return {**content, place[0]: instead}
    return [instead if i == place[0] else one for i, one in enumerate(content)]


def _placed(inside: Any, place: Sequence[str], value: Any) -> Any:
    """A copy of a mapping with a value at a place below it; None: something else stands there."""
    head, *rest = place
    if head == ENTRY:
        entry = inside[0] if isinstance(inside, list) and len(inside) == 1 else None
        found = _placed({"name": entry} if isinstance(entry, str) else entry, rest, value)
        return None if found is None else [found]
    if not isinstance(inside, Mapping):
        return None
    if not head:
        clash = not isinstance(value, Mapping) or value.keys() & inside.keys()
        return None if clash else {**inside, **value}
    if not rest:
        return None if head in inside else {**inside, head: value}
    below = inside.get(head)
    found = _placed({} if below is None and rest[0] != ENTRY else below, rest, value)
    return None if found is None else {**inside, head: found}


def _is_list(annotation: Any) -> bool:
    return any(get_origin(one) is tuple for one in (annotation, *get_args(annotation)))


def _instead(value: Any, level: type[Frozen] | None, annotation: Any) -> Iterator[Any]:
    """What a value may stand for: a list of it, entries by their names, or it under a key of the level below."""
    if isinstance(value, str) and "," in value and "=" not in value:
        yield [_scalar(part.strip()) for part in value.split(",")]
    if _is_list(annotation):
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            yield [value]
        elif isinstance(value, Mapping):
            yield [dict(value)]
            yield [{name: one} for name, one in value.items()]
    elif level is not None and not isinstance(value, Mapping):
        if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], Mapping):
            yield dict(value[0])
        for name in level.model_fields:
            yield {name: value}


def _scalar(text: str) -> Any:
    """A text as YAML reads it, where that is a number."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _meet(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether one of two places is the other, or above it."""
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[list[Any]]:
    """Where a document was changed: keys of its own, or the one entry of a list that is another."""
    found: list[list[Any]] = []
    for key, value in new.items():
        before: Any = old.get(key)
        lists = isinstance(before, list) and isinstance(value, list) and len(before) == len(value)
        odd = [i for i, one in enumerate(value) if before[i] != one] if lists else []
        if key not in old or before != value:
            found.append([key, *odd] if len(odd) == 1 else [key])
    return found


def written(content: Mapping[str, Any], mended: Mapping[str, Any], place: Sequence[Any], words: Words) -> str:
    """How what was mended is written, on one line; ``""``: it has no text.

    Args:
        content: The document as it was.
        mended: What :meth:`Mender.mended` made of it.
        place: Of the mistake: where that is an entry of a list, what changed in the entry is enough.
        words: Say whether the document is YAML or Python.
    """
    texts = []
    for changed in _changed(content, mended):
        now = at(mended, changed)
        if len(changed) == 1 or changed != [*place[:2]]:
            texts.append(_fitting({changed[0]: mended[changed[0]]}, words.arguments, _keys))
            continue
        was = at(content, changed)
        kept = isinstance(was, Mapping) and any(was.get(name, now) == one for name, one in now.items())
        what = {name: one for name, one in now.items() if was.get(name, now) != one} if kept else now
        texts.append(_fitting(what, words.arguments, _part if kept else _entry))
    return ", ".join(texts) if all(texts) else ""


def form(place: str, words: Words) -> str:
    """How a place is written, on one line, with a gap for the value: ``seeds: {evaluate: …}``."""
    value: Any = GAP
    for part in reversed(place.split(".")):
        value = [value] if part == ENTRY else {part: value}
    return _fitting(value, words.arguments, _keys)


def _fitting(what: Any, arguments: Mapping[str, str] | None, text_of: Callable[[Any, Any], str]) -> str:
    """What stands in a document as a text, with gaps where that is too long; ``""``: it has none."""
    for depth in (9, 3, 2, 1):
        try:
            text = text_of(_cut(what, depth), arguments)
        except (yaml.YAMLError, ValueError):  # an integer of thousands of digits has no text
            return ""
        if len(text) <= MOST_SHOWN:
            return text
    return ""


def _keys(what: Mapping[str, Any], arguments: Mapping[str, str] | None) -> str:
    """Keys of the document; in Python, arguments."""
    if arguments is None:
        return _part(what, arguments)
    found = []
    for key, value in what.items():
        below = value if isinstance(value, Mapping) and all(f"{key}.{name}" in arguments for name in value) else {}
        found += [f"{arguments[f'{key}.{name}']}={_python(one)}" for name, one in below.items()]
        found += [] if below else [f"{key}={_python(value)}"]
    return ", ".join(found)


def _part(what: Any, arguments: Mapping[str, str] | None) -> str:
    """Keys of an entry."""
    return (_yaml(what) if arguments is None else _python(what))[1:-1]


def _entry(what: Any, arguments: Mapping[str, str] | None) -> str:
    return f"- {_yaml(what)}" if arguments is None else _python(what)


def _yaml(what: Any) -> str:
    found: str = yaml.safe_dump(what, default_flow_style=True, width=100_000, allow_unicode=True, sort_keys=False)
    return found.strip()


def _python(what: Any) -> str:
    return repr(what).replace(repr(GAP), GAP)


def _cut(what: Any, depth: int) -> Any:
    if isinstance(what, Mapping):
        return {name: _cut(one, depth - 1) for name, one in what.items()} if depth else GAP
    if isinstance(what, list | tuple):
        return [_cut(one, depth - 1) for one in what] if depth else GAP
    return what
