"""What `ddbench plugin doctor` looks at: the installation, the declared entry points, and every plugin."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import ddbench
from ddbench.core.api import MethodInfo
from ddbench.core.errors import DDBenchError
from ddbench.core.plugin.limited import PluginWarning
from ddbench.core.plugin.loader import GROUP, PluginReport, Registries, load, params_class
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.plan.presets import presets

ADVICE = (
    ("ModuleNotFoundError", "install the missing module into this Python, or uninstall {dist}"),
    ("is already registered by", "uninstall one of the two, or ask an author to rename"),
    ("registers nothing", "mark its hook functions with `@hookimpl` (from ddbench import hookimpl)"),
    ("unknown hook", "the hooks are {hooks}: check the spelling"),
    ("Argument(s)", "a hook takes exactly one argument, called `registry`"),
    ("registry.add expects", "hand over the record that belongs to the hook, e.g. a MethodInfo"),
    ("SystemExit", "the plugin ends the process when it is imported: report it to its author, or uninstall {dist}"),
)
"""Part of an error → what to do about it; the first that fits."""

HOOKS = "ddbench_register_{methods, datasets, architectures, protocols, artifacts}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        ok: Whether all is well.
        text: What was looked at, and how it is.
        advice: What to do, "" when nothing.
    """

    ok: bool
    text: str
    advice: str = ""


def diagnose() -> Iterator[Finding]:
    """The whole report."""
    yield from _installation()
    yield from undeclared(_checkout(), _installed_targets())
    registries = _loaded()
    for report in registries.reports:
        yield _plugin(report, registries)
    for info in registries.methods:
        yield from _method(info, registries)


def _installation() -> Iterator[Finding]:
    yield Finding(True, f"python {platform.python_version()} ({sys.executable})")
    yield Finding(True, f"ddbench {ddbench.__version__} ({Path(ddbench.__file__).parent})")
    for name in ("torch", "pluggy"):
        try:
            yield Finding(True, f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding(False, f"{name} is not installed", f"pip install {name}")


def _checkout() -> Path | None:
    """The repository that ddbench runs from, None for an installed package."""
    root = Path(ddbench.__file__).parents[1]
    return root if (root / "plugins" / "ddbench_plugins").is_dir() else None


def _installed_targets() -> set[str]:
    """Modules that the installed metadata of ddbench declares as plugins."""
    ours = [entry for entry in entry_points(group=GROUP) if entry.dist is not None and entry.dist.name == FIRST_PARTY]
    return {entry.value for entry in ours}


def undeclared(root: Path | None, installed: set[str]) -> Iterator[Finding]:
    """Folders in ``plugins/ddbench_plugins`` that no installed entry point names.

    Args:
        root: The repository, None when ddbench does not run from one.
        installed: Modules of the installed entry points.
    """
    if root is None:
        return
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = set(project.get("entry-points", {}).get(GROUP, {}).values())
    folders = sorted(path.parent.name for path in (root / "plugins" / "ddbench_plugins").glob("*/__init__.py"))
    for folder in folders:
        module = f"ddbench_plugins.{folder}"
        if module not in declared:
            line = f'{folder} = "{module}"'
            advice = f"add `{line}` to [project.entry-points.{GROUP}] in pyproject.toml, then run `pip install -e .`"
            yield Finding(False, f"{module} is not declared as an entry point", advice)
        elif module not in installed:
            advice = f"run `pip install -e .` in {root}"
            yield Finding(False, f"{module} is declared, but the installed metadata does not know it", advice)


def _loaded() -> Registries:
    """All plugins; strict mode and warnings are off, because the report shows every failure."""
    strict = os.environ.pop("DDBENCH_PLUGINS_STRICT", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)
            return load()
    finally:
        if strict is not None:
            os.environ["DDBENCH_PLUGINS_STRICT"] = strict


def _plugin(report: PluginReport, registries: Registries) -> Finding:
    where = f"plugin {report.name} ({report.origin.distribution} {report.origin.version})".replace(" )", ")")
    if report.error is None:
        return Finding(True, f"{where}: {', '.join(report.registered)}")
    return Finding(False, f"{where}: {report.error}", advice_for(report))


def advice_for(report: PluginReport) -> str:
    """What to do about a plugin that did not load."""
    error = report.error or ""
    text = next((advice for sign, advice in ADVICE if sign in error), "report it to its author, or uninstall {dist}")
    return text.format(dist=report.origin.distribution, hooks=HOOKS)


def _method(info: MethodInfo, registries: Registries) -> Iterator[Finding]:
    """What a method names but does not have; torch is not imported."""
    origin = registries.methods.origin(info.name)
    advice = f"report it to the author of {origin.distribution}, or look at {origin.module}"
    try:
        params_class(info)
        presets(info)
        module = info.target.partition(":")[0]
        if importlib.util.find_spec(module) is None:
            yield Finding(False, f"method {info.name}: target {info.target!r}: no module {module!r}", advice)
    except (DDBenchError, ImportError, ValueError, SystemExit) as error:
        yield Finding(False, f"method {info.name}: {' '.join(str(error).split())}", advice)
