"""What people write in suites and tuning files for what stands elsewhere in them, or is no part of them. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ddbench.core.yaml import parse_yaml
from ddbench.data.prepared.views import SHORTHAND
from ddbench.data.readers.framing import Framing
from ddbench.plan.mending import Words

_VIEW = {key: (f"view.{key}",) for key in SHORTHAND}
_ONE_DATA_SET = {
    **{name: (f"datasets.*.{name}",) for name in ("path", "view", *Framing.model_fields)},
    **{key: (f"datasets.*.view.{key}",) for key in SHORTHAND if key != "seed"},
}
_SIZES = {"images_per_class": ("budget.ipc",)}
_SEEDS = {"eval_seeds": "evaluate", "students": "evaluate", "random_seeds": "random", "repetitions": "condense"}
_SETTING = re.compile(r"([^=]+)\.(\w+)(?:=(.*))?", re.DOTALL)


def _settings(content: Mapping[str, Any]) -> Iterator[Any]:
    """``set`` as ``--set`` has it: ``dm.iterations=3``, alone or in a list, or ``dm.iterations`` as a key.

    Where a suite has one method, ``iterations`` as a key, too.
    """
    given, methods = content["set"], content.get("methods")
    texts = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
    items = [*given.items()] if isinstance(given, Mapping) else [(text, None) for text in texts]
    found: dict[Any, Any] = {}
    for name, value in items:
        setting = _SETTING.fullmatch(name) if isinstance(name, str) else None
        if isinstance(value, Mapping):
            found[name] = {**found.get(name, {}), **value}
        elif setting is not None:
            method, parameter, text = setting[1].strip(), setting[2], setting[3]
            found[method] = {**found.get(method, {}), parameter: value if text is None else _read(text)}
        else:
            only = methods[0] if isinstance(methods, list | tuple) and len(methods) == 1 else None
            only = only.get("name") if isinstance(only, Mapping) else only
            if isinstance(given, Mapping) and isinstance(only, str):
                yield {only: given}
            return
    if found:
        yield found


def _read(text: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError:
        return text


def _counts(content: Mapping[str, Any]) -> Iterator[Any]:
    """``seeds`` as a list of them, of which there are so many; likewise for each of its keys."""
    given = content["seeds"]
    if isinstance(given, list | tuple) and not any(isinstance(one, Mapping) for one in given):
        yield {"condense": len(given)}
    elif isinstance(given, Mapping):
        yield {name: len(one) if isinstance(one, list | tuple) else one for name, one in given.items()}


def _listed(content: Mapping[str, Any]) -> Iterator[Any]:
    """``budget: {ipc: 1, 10}``, which YAML takes for two keys."""
    given = content["budget"]
    if isinstance(given, Mapping):
        named = [(name, value) for name, value in given.items() if isinstance(name, str)]
        more = [name for name, value in given.items() if not isinstance(name, str) and value is None]
        if len(named) == 1 and more and len(more) == len(given) - 1:
            yield {named[0][0]: [named[0][1], *more]}


OPTIONS = (
    "plugin", "out", "retry_failed", "reference_limit", "executor", "resources", "store", "jobs", "threads", "device",
    "engine", "timeout", "isolate", "keep_logits", "progress",
)  # fmt: skip
"""Options of `ddbench run` that say how, and arguments of :func:`ddbench.run`."""
SCREEN = ("suite", "verbose", "format", "wide", "details", "views", "dry_run")
"""Options of `ddbench run` that only the command has."""

SUITE = Words(
    places={
        "": {
            "seed": ("master_seed", "seeds.condense"),
            "engine": ("precision",),
            "params": ("methods.*.params",),
            **{word: (f"seeds.{key}",) for word, key in _SEEDS.items()},
            **_SIZES,
            **_ONE_DATA_SET,
        },
        "methods": {"method": ("name",)},
        "datasets": {"dataset": ("name",), **_VIEW},
        "seeds": {word: (key,) for word, key in {**_SEEDS, "seeds": "condense"}.items()},
        "budget": {"images_per_class": ("ipc",)},
        "exclude": {"budget": ("",)},
    },
    others={"methods": "params"},
    values={"set": _settings, "seeds": _counts, "budget": _listed},
    options=OPTIONS,
    screen=SCREEN,
)
"""Of suites."""
PYTHON = replace(SUITE, arguments={"budget.ipc": "ipc", "budget.fraction": "fraction", "seeds.condense": "seeds",
                                   "seeds.evaluate": "eval_seeds", "seeds.random": "random_seeds"})  # fmt: skip
"""Of the arguments of :func:`ddbench.run`."""
TUNING = Words(
    places={
        "": {**_SIZES, **_ONE_DATA_SET},
        **{level: SUITE.places[level] for level in ("budget", "datasets")},
    },
    others={"base": "params"},
    values={"budget": _listed},
    screen=(*(name for name in OPTIONS if name != "reference_limit"), "verbose", "dry_run"),
)
"""Of tuning files."""
