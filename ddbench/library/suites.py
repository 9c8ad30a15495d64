"""A suite from words: those of `ddbench run`, as values of Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.core.profiles import DEFAULT
from ddbench.plan import suite as suites
from ddbench.plan import typed

LISTS = ("methods", "datasets", "archs", "eval_archs", "preprocess", "protocols")
ONE = ("profile", "split", "controls")
COMMAND = "command line"
NEEDED = {"methods": ("--methods dm,kmeans", "methods=['dm', 'kmeans']"), "budget": ("--ipc 1,10", "ipc=[1, 10]")}
"""What may not be missing, as users of the command and of Python write it."""


def suite_of(words: Mapping[str, Any], registries: Registries) -> suites.Suite:
    """The suite that words describe, on top of the one that they name.

    Args:
        words: ``suite``, lists of :data:`LISTS`, ``ipc``, ``fraction``, ``seeds``, ``eval_seeds``, ``random_seeds``,
            ``settings`` (method, parameter, value), ``profile``, ``split``, ``controls``, ``engine``, and ``where``
            they were said, if not on the command line; what is missing or empty is not said.
        registries: Loaded plugins.

    Raises:
        UsageError: If the suite is incomplete or wrong.
    """
    named, where = words.get("suite"), words.get("where") or COMMAND
    in_python = where != COMMAND
    if isinstance(named, Mapping):
        raise UsageError(
            f"{where}: suite is a YAML file, or the name of one; what is in it is given as arguments, "
            "methods=['dm'], ipc=[1], seeds=3"
        )
    described: dict[str, Any] = suites.load(str(named)) if named else {}
    content: dict[str, Any] = dict(described) or {"profile": DEFAULT}
    content |= {name: [*words[name]] for name in LISTS if words.get(name)}
    for name, fields in (("methods", ("label", "name")), ("datasets", ("name",))):
        if words.get(name):
            content[name] = suites.picked(described.get(name), content[name], fields)
    sizes = {name: [*words[name]] for name in ("ipc", "fraction") if words.get(name)}
    if len(sizes) == 2:
        raise UsageError(f"give either {'ipc or ' if in_python else '--ipc or --'}fraction, not both")
    if sizes:
        content["budget"] = sizes
    seeds = {"condense": words.get("seeds"), "evaluate": words.get("eval_seeds"), "random": words.get("random_seeds")}
    said = {name: n for name, n in seeds.items() if n is not None}
    given = content.get("seeds")
    if said and (given is None or isinstance(given, Mapping)):  # what is no mapping is for `parse` to refuse
        content["seeds"] = {**(given or {}), **said}
    content |= {name: words[name] for name in ONE if words.get(name)}
    if words.get("engine") == "bf16":
        content["precision"] = "bf16"
    missing = next((hints[in_python] for name, hints in NEEDED.items() if name not in content), None)
    if missing is not None and not named:
        suite, more = ("suite=…", "help(ddbench.run)") if in_python else ("--suite", "`ddbench run --help`")
        raise UsageError(f"nothing to run: pass {missing}, or a suite with {suite} (see {more})")
    parsed = suites.parse(content, f"suite {named}" if named else where)
    settings = words.get("settings")
    return typed.overridden(parsed, settings, registries) if settings else parsed
