"""The package that `ddbench plugin new` writes, from the templates in `scaffold/`."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from ddbench.core.errors import StoreError, UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.core.store.files import atomic_write

LAYOUT = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/$module/__init__.py": "init.py",
    "src/$module/params.py": "params.py",
    "src/$module/method.py": "method.py",
    "src/$module/presets.yaml": "presets.yaml",
    "tests/test_contract.py": "test_contract.py",
}
"""File in the package → template."""


def create(name: str, folder: Path, registries: Registries) -> Path:
    """Write the package ``ddbench-NAME``.

    Args:
        name: Method name.
        folder: Where the package goes.
        registries: What is registered already.

    Returns:
        The package's folder.

    Raises:
        UsageError: If the name is malformed or taken, or the folder exists already.
        StoreError: If it cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(
            f"{name!r} is not a method name: use small letters, digits and _, starting with a letter (my_method)"
        )
    if name in registries.methods:
        owner = registries.methods.origin(name).distribution
        raise UsageError(f"method {name!r} is already registered by {owner}; choose another name")
    package = folder / f"ddbench-{name}"
    if package.exists():
        raise UsageError(f"{package} exists already; nothing was written (choose another name, or --to DIR)")
    for path, content in contents(name).items():
        target = package / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{target.parent}: {error.strerror}; choose another folder with --to DIR") from error
        atomic_write(target, content.encode())
    return package


def contents(name: str) -> dict[str, str]:
    """Path in the package → text."""
    words = {
        "name": name,
        "module": f"ddbench_{name}",
        "cls": "".join(part.capitalize() for part in name.split("_")),
    }
    templates = files("ddbench.cli") / "scaffold"

    def filled(text: str) -> str:
        return Template(text).substitute(words)

    return {
        filled(path): filled((templates / f"{template}.tmpl").read_text(encoding="utf-8"))
        for path, template in LAYOUT.items()
    }
