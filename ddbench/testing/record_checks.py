"""Laws about what a plugin declares: its record, its params, its presets, what its files import. Runs no method."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ddbench.core.api import Method, Params
from ddbench.core.errors import DDBenchError
from ddbench.core.plugin.loader import method_class, params_class
from ddbench.core.profiles import profiles
from ddbench.core.records import is_number
from ddbench.core.specs import Budget
from ddbench.plan import rows
from ddbench.plan.presets import Preset, choose, presets
from ddbench.testing.subject import DATASET, Bench, Subject

OPEN = ("ddbench.blocks", "ddbench.models")
"""Packages whose modules are public."""

_LIGHT: set[str] = set()
"""Modules of ddbench that were found to import no torch: these do not change under a contract."""

PUBLIC = ("ddbench", "ddbench.core.api", "ddbench.testing", *OPEN)
"""Modules that plugins may import."""

IMPORT_PROBE = """
import importlib, importlib.util, sys, traceback

class Watch:
    found = None
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and Watch.found is None:
            frames = [f for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
            Watch.found = f"{frames[-1].filename}:{frames[-1].lineno}"
        return None

sys.meta_path.insert(0, Watch())
module, file = sys.argv[1:3]
if file:
    spec = importlib.util.spec_from_file_location(module, file)
    sys.modules[module] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[module])
else:
    importlib.import_module(module)
print("imports-torch-at", Watch.found or "")
"""


def record_is_well_formed(bench: Bench) -> None:
    """The record names a Method and a Params class that exist, and says in one line what the method does."""
    info = bench.info
    cls, params = method_class(info), params_class(info)
    assert isinstance(cls, type) and issubclass(cls, Method), f"target {info.target!r} is no subclass of ddbench.Method"
    is_params = isinstance(params, type) and issubclass(params, Params)
    assert is_params, f"params {info.params!r} is no subclass of ddbench.Params"
    assert info.summary.strip(), "summary is empty: say in one line what the method does"
    assert "\n" not in info.summary, "summary has more than one line"
    for control in info.controls:
        assert control in bench.subject.registries.methods, f"control {control!r} is not a registered method"


def params_import_no_torch(bench: Bench) -> None:
    """Importing the params module, and the package it is in, imports no torch: `list` and `plan` stay fast."""
    no_torch_is_imported(bench.info.params.partition(":")[0], bench.subject.plugin)


def no_torch_is_imported(module: str, plugin: Path | None) -> None:
    """Import a module in a fresh interpreter and see that torch stays out.

    Raises:
        AssertionError: If it does not, or if the module cannot be imported.
    """
    file = str(plugin.absolute()) if plugin is not None and plugin.stem == module else ""
    if module in _LIGHT:
        return
    # The child finds what this process finds, distributions that a test made up included.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_PROBE, module, file], capture_output=True, text=True, env=env, check=False
    )
    last = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
    assert run.returncode == 0, f"importing {module!r} in a fresh interpreter fails: {last[0]}"
    where = run.stdout.rpartition("imports-torch-at")[2].strip()
    assert not where, f"torch is imported at {where}: keep it out of the plugin's __init__ and params modules"
    if module.startswith("ddbench."):
        _LIGHT.add(module)


def params_are_described(bench: Bench) -> None:
    """Every hyper-parameter has a description, which `ddbench describe` shows; params are frozen and closed."""
    params_are_closed(params_class(bench.info))


def params_are_closed(cls: type[Params]) -> None:
    """See that params have descriptions, are frozen, and refuse unknown fields.

    Raises:
        AssertionError: If they do not.
    """
    silent = [name for name, field in cls.model_fields.items() if not (field.description or "").strip()]
    assert not silent, f"no description: {', '.join(silent)}; write Field(default=…, description='what it is [unit]')"
    assert cls.model_config.get("frozen"), "params must stay frozen (model_config of ddbench.Params)"
    assert cls.model_config.get("extra") == "forbid", 'params must keep extra="forbid", else typing errors go unnoticed'


def effort_is_numbers(bench: Bench) -> None:
    """`Params.effort` names parameters that are numbers: reports compare them with those of the published recipe."""
    cls = params_class(bench.info)
    assert isinstance(cls.effort, tuple), f"Params.effort is of type {type(cls.effort).__name__}, not a tuple of names"
    given = bench.params(bench.place()).model_dump()
    for name in cls.effort:
        assert is_number(given[name]), f"Params.effort names {name!r}, which is {given[name]!r}: no number"


def defaults_are_valid(bench: Bench) -> None:
    """Defaults with presets make valid params on digits at any budget, under every profile."""
    row = _row(bench.subject)
    for profile in profiles():
        for ipc in (1, 10, 50):
            chosen = choose(bench.info, DATASET, Budget(ipc=ipc), profile)
            try:
                rows.validated(row, chosen.params)
            except DDBenchError as error:
                raise AssertionError(f"{DATASET} at ipc {ipc}, profile {profile}: {error}") from None


def presets_are_valid(bench: Bench) -> None:
    """Every preset makes valid params, says where its values come from, and names a data set and profile that exist."""
    try:
        known = presets(bench.info)
    except ValueError as error:
        raise AssertionError(f"presets {bench.info.presets!r}: {error}") from error
    for number, preset in enumerate(known, start=1):
        problem = _problem(bench, preset)
        assert problem is None, f"preset {number} of {bench.info.presets}: {problem}"


def _problem(bench: Bench, preset: Preset) -> str | None:
    where = preset.where
    if not preset.source.strip():
        return "its source is empty: name the paper's table or the script"
    if where.profile is not None and where.profile not in profiles():
        return f"profile {where.profile!r} is none of {', '.join(profiles())}"
    if where.dataset is not None and where.dataset not in bench.subject.registries.datasets:
        return f"data set {where.dataset!r} is not registered (see `ddbench list datasets`)"
    if where.ipc is not None and where.fraction is not None:
        return "it is for an ipc and a fraction at once"
    try:
        params_class(bench.info).model_validate(preset.params)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None


def declarations_are_pure(bench: Bench) -> None:
    """`Params.artifacts` and `Params.unsupported` answer alike when asked twice, and name registered artifact kinds."""
    place = bench.place()
    params, facts = bench.params(place), bench.context(place).dataset
    first, second = params.artifacts(place.spec), bench.params(place).artifacts(place.spec)
    assert first == second, "Params.artifacts answers differently when asked twice: keys would never match"
    kinds = bench.subject.registries.artifacts
    for name, artifact in first.items():
        assert artifact.kind in kinds, f"artifact {name!r}: kind {artifact.kind!r} is not registered"
    answers = [params.unsupported(place.spec, facts) for _ in range(2)]
    assert answers[0] == answers[1], f"Params.unsupported answers {answers[0]!r}, then {answers[1]!r}"


def charges_are_shares(bench: Bench) -> None:
    """`Params.opens` says of every declared artifact which share of its cost the cell is charged for, in [0, 1]."""
    for ipc in (1, 2):
        place = bench.place(ipc=ipc)
        facts = bench.context(place).dataset
        for name in bench.params(place).artifacts(place.spec):
            first, second = (bench.params(place).opens(name, place.spec, facts) for _ in range(2))
            assert 0.0 <= first <= 1.0, f"Params.opens({name!r}, …) gives {first!r}, not a share in [0, 1]"
            assert first == second, f"Params.opens({name!r}, …) answers {first!r}, then {second!r}"


def imports_only_public_names(bench: Bench) -> None:
    """The plugin imports ddbench's public modules only: no test data, no runner, no other plugin."""
    top = bench.info.target.partition(":")[0]
    only_public_names(top, bench.subject.plugin)


def only_public_names(module: str, plugin: Path | None) -> None:
    """See that a plugin's files import no more of ddbench than what is public.

    Args:
        module: A module of the plugin.
        plugin: Its file, for a one-file plugin.

    Raises:
        AssertionError: If they do.
    """
    own = module if plugin else module.rpartition(".")[0] or module
    for file in _sources(module, plugin):
        for line, name in imported_modules(ast.parse(file.read_text(encoding="utf-8"))):
            allowed = name == own or name.startswith(f"{own}.") or _is_public(name)
            assert allowed, f"{file.name}:{line} imports {name}; plugins import ddbench, {' and '.join(OPEN)} only"


def imported_modules(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and absolute module of every import in a file, also of those inside functions."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append((node.lineno, node.module))
    return found


def _is_public(module: str) -> bool:
    """Whether a plugin may import it: anything that is not ddbench's, and what ddbench publishes."""
    if module.partition(".")[0] not in ("ddbench", "ddbench_plugins"):
        return True
    return module in PUBLIC or module.startswith(tuple(f"{name}." for name in OPEN))


def _sources(module: str, plugin: Path | None) -> list[Path]:
    """The Python files of the plugin: one file, or all files of the package that holds the module."""
    if plugin is not None:
        return [plugin]
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, f"module {module!r} is not a file"
    file = Path(spec.origin)
    return sorted(file.parent.rglob("*.py")) if "." in spec.name else [file]


def _row(subject: Subject) -> rows.Row:
    origin = subject.registries.methods.origin(subject.info.name).key
    return rows.Row(subject.info.name, subject.info, origin, {}, requested=True)


RECORD_CHECKS: tuple[Any, ...] = (
    record_is_well_formed,
    params_import_no_torch,
    params_are_described,
    effort_is_numbers,
    defaults_are_valid,
    presets_are_valid,
    declarations_are_pure,
    charges_are_shares,
    imports_only_public_names,
)
