"""Imports go down the street, plugins use public names only, and modules stay small: read from the source, nothing is run."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "ddbench"
PLUGINS = ROOT / "plugins" / "ddbench_plugins"
OPEN = ("ddbench.blocks", "ddbench.models")
PUBLIC = ("ddbench", *OPEN)
FILES = sorted(CORE.rglob("*.py"))
PLUGIN_FILES = sorted(PLUGINS.rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str, str]]:
    """Line, module and name of every import, also inside functions and for type checkers alone."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, node.module or "", alias.name) for alias in node.names]
    return found


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter's verdict on the checkout at ``root``."""
    pytest.importorskip("importlinter")
    path = os.pathsep.join([str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")])
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


def test_imports_go_down_the_street():
    verdict = lint(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_nothing_lies_loose_in_the_package():
    loose = {path.name for path in CORE.iterdir() if path.is_file()}
    assert loose <= {"__init__.py", "__main__.py", "api.py", "py.typed"}


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
