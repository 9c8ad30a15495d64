"""Imports point one way, plugins use public names only, and modules stay small: read from the source, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "ddbench"
PLUGINS = ROOT / "plugins" / "ddbench_plugins"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "paths"),
    ("specs", "files", "members", "sets"),
    ("api", "keys", "records", "profiles", "registry", "session", "meter", "claims", "stats", "engine"),
    ("hookspecs", "serialise", "suite", "presets", "attempts"),
    ("plugins",),
    ("rows",),
    ("controls",),
    ("blocks", "data", "models"),
    ("evaluate", "store", "artifacts"),
    ("builtin", "context", "exchange", "grid"),
    ("imports", "forerunner"),
    ("condense", "plan"),
    ("runner", "lookup", "forecast", "results", "report", "again", "verify", "quartiles", "quantised", "stopped"),
    ("executors", "testing"),
    ("cli",),
    ("__main__",),
)
"""Parts of ddbench from the bottom to the top; a part imports from its own layer and from those below.

cli → plan, runner → context, evaluate, store → blocks, data, models → api, errors.
"""

RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
OPEN = ("ddbench.blocks", "ddbench.models")
PUBLIC = ("ddbench", *OPEN)


def imports(path: Path) -> list[tuple[int, str, str]]:
    """Line, module and name of every import that runs, also inside functions; not those for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, node.module or "", alias.name) for alias in node.names]
    return found


def parts_imported(path: Path) -> list[tuple[int, str]]:
    """Line and part (``store``, ``data`` …) of every import from ddbench."""
    found = []
    for line, module, name in imports(path):
        if module == "ddbench" and name and (CORE / f"{name}.py").exists() | (CORE / name / "__init__.py").exists():
            found.append((line, name))
        elif module.startswith("ddbench."):
            found.append((line, module.split(".")[1]))
    return found


def part_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


FILES = sorted(CORE.rglob("*.py"))
PLUGIN_FILES = sorted(PLUGINS.rglob("*.py"))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_part_has_a_layer():
    parts = {part_of(path) for path in FILES} - {"__init__"}
    assert not parts - set(RANK), "say in LAYERS where the new part belongs"
    assert not set(RANK) - parts, "LAYERS names a part that is gone"


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) != "__init__"], ids=short)
def test_imports_point_down(path):
    own = RANK.get(part_of(path), len(LAYERS))
    upwards = [f"line {line}: {part}" for line, part in parts_imported(path) if RANK.get(part, own) > own]
    assert not upwards, f"{short(path)} imports from a layer above its own: {', '.join(upwards)}"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_plugins_import_public_names_only(path):
    own = f"ddbench_plugins.{path.relative_to(PLUGINS).parts[0]}"
    for line, module, name in imports(path):
        if module.partition(".")[0] not in ("ddbench", "ddbench_plugins"):
            continue
        allowed = (
            module in PUBLIC
            or module.startswith(tuple(f"{package}." for package in OPEN))
            or module == own
            or module.startswith(f"{own}.")
        )
        assert allowed, f"{short(path)}:{line} imports {name} from {module}"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_plugins_take_public_names_from_ddbench(path):
    import ddbench

    names = {name for _, module, name in imports(path) if module == "ddbench"}
    assert names <= {*ddbench.__all__, "blocks", "models"}


def test_every_public_name_exists():
    import ddbench

    for name in ddbench.__all__:
        assert getattr(ddbench, name) is not None


@pytest.mark.parametrize(
    "path", [path for path in PLUGIN_FILES if path.name in ("__init__.py", "params.py")], ids=short
)
def test_records_and_params_import_no_torch(path):
    assert not [module for _, module, _ in imports(path) if module.partition(".")[0] in ("torch", "sklearn", "numpy")]


@pytest.mark.parametrize("path", [*FILES, *PLUGIN_FILES], ids=short)
def test_modules_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
