"""The package that `ddbench plugin new` writes, from the templates in `scaffold/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Template

from ddbench.core.errors import StoreError, UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.core.store.files import atomic_write

SCAFFOLD = Path(__file__).parents[1] / "scaffold"
"""A folder of templates for each kind of member, and `common`; below `src` stands what goes into the module."""
KINDS = ("method", "protocol", "dataset", "architecture", "artifact")


def create(kind: str, name: str, folder: Path, registries: Registries) -> Path:
    """Write the package ``ddbench-NAME``.

    Args:
        kind: What its member is, one of :data:`KINDS`.
        name: The member's name.
        folder: Where the package goes.
        registries: What is registered already.

    Returns:
        The package's folder.

    Raises:
        UsageError: If the name is malformed or taken, or the folder exists already.
        StoreError: If it cannot be written.
    """
    registry = registries.by_hook()[f"ddbench_register_{kind}s"]
    what = _a(registry.noun)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(
            f"{name!r} is not {what} name: use small letters, digits and _, starting with a letter (my_{kind})"
        )
    if (taken := registry.find(name)) is not None:
        owner = registry.origin(taken.name).distribution
        raise UsageError(f"{registry.noun} {name!r} is already registered by {owner}; choose another name")
    package = folder / f"ddbench-{name}"
    if package.exists():
        raise UsageError(f"{package} exists already; nothing was written (choose another name, or --to DIR)")
    for path, content in contents(kind, name, what).items():
        target = package / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{target.parent}: {error.strerror}; choose another folder with --to DIR") from error
        atomic_write(target, content.encode())
    return package


def contents(kind: str, name: str, what: str) -> dict[str, str]:
    """Path in the package → text.

    Args:
        kind: One of :data:`KINDS`.
        name: The member's name.
        what: The kind in words, with its article.
    """
    words = {
        "name": name,
        "module": f"ddbench_{name}",
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "what": what,
        "What": what.capitalize(),
        "contract": f"{kind.capitalize()}Contract",
    }
    words["about"] = _filled(SCAFFOLD / kind / "about.md.tmpl", words).rstrip()
    return {
        path.replace("src/", f"src/{words['module']}/"): _filled(template, words)
        for part in ("common", kind)
        for path, template in _templates(SCAFFOLD / part)
    }


def _templates(folder: Path) -> Iterator[tuple[str, Path]]:
    """Path in the package → template, of all that is a file of its own there."""
    for template in sorted(folder.rglob("*.tmpl")):
        path = template.relative_to(folder).with_suffix("").as_posix()
        if path != "about.md":
            yield path, template


def _filled(template: Path, words: dict[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(words)


def _a(noun: str) -> str:
    """``a method``, ``an architecture``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
