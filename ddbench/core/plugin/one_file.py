"""One-file plugins (``--plugin FILE.py``): what runs is the text that was hashed, modules beside the file included.

The hash is the plugin's origin, which stands in keys. The import system's own way would let the two come apart: a
module that is imported late is read late, and compiled code that is kept on disk survives an edit within one second
that leaves the size alone.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ddbench.core.errors import PluginError
from ddbench.core.keys import digest

NAME = re.compile(r"([A-Za-z_]\w*)(\.\w+)*(:\w+)?")
"""A dotted module, or a target ``module:Class``, as a plugin's records name it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A module's file and what it held."""

    path: Path
    content: bytes


@dataclass(frozen=True, slots=True)
class OneFile:
    """A one-file plugin as it was read.

    Attributes:
        name: Module name, the file's stem.
        modules: Texts by module name: the file, and the modules from its folder that it names, directly or through
            others.
    """

    name: str
    modules: Mapping[str, Text]

    @property
    def key(self) -> str:
        """The sha256 of the file; where there are modules beside it, of all their hashes."""
        hashes = {name: hashlib.sha256(text.content).hexdigest() for name, text in self.modules.items()}
        return hashes[self.name] if len(hashes) == 1 else digest(hashes)

    def load(self) -> ModuleType:
        """Import the plugin from the texts, in place of what was loaded under these names before."""
        self.unload()
        if _TEXTS not in sys.meta_path:
            sys.meta_path.insert(0, _TEXTS)
        _TEXTS.texts.update(self.modules)
        return importlib.import_module(self.name)

    def unload(self) -> None:
        """Forget the plugin's modules."""
        for name in self.modules:
            _TEXTS.texts.pop(name, None)
            sys.modules.pop(name, None)


def read(path: Path) -> OneFile:
    """Read a one-file plugin and the modules beside it.

    Raises:
        PluginError: If the file is missing, or its name is not one that a new module can have.
    """
    stem = path.stem
    if not path.is_file():
        raise PluginError(f"--plugin {path}: no such file")
    if not stem.isidentifier():
        raise PluginError(f"--plugin {path}: rename the file, {stem!r} is not a module name")
    if _names_another_module(stem, path):
        raise PluginError(f"--plugin {path}: rename the file, a module {stem!r} exists already")
    modules: dict[str, Text] = {}
    pending = [(stem, path)]
    while pending:
        name, place = pending.pop()
        if name not in modules:
            modules[name] = Text(place, place.read_bytes())
            for other in sorted(_names_in(modules[name].content)):
                pending += _beside(other, path.parent)
    return OneFile(stem, modules)


def _names_in(content: bytes) -> set[str]:
    """Top-level modules that a text imports or names in a string, inside functions too; none if it has no syntax."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError):
        return set()  # importing it says so
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (m := NAME.fullmatch(node.value)):
            found.add(m[1])
    return found


def _beside(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The module or the modules of the package ``name`` in a folder, unless ``import name`` means something else."""
    file, package = folder / f"{name}.py", folder / name
    if (package / "__init__.py").is_file() and not _names_another_module(name, package / "__init__.py"):
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path
    elif file.is_file() and not _names_another_module(name, file):
        yield name, file


def _names_another_module(name: str, path: Path) -> bool:
    """Whether ``import name`` means something else than this file."""
    if name in _TEXTS.texts:  # of a plugin that was loaded before, perhaps of this one
        return False
    if name in sys.modules:
        found, file = True, getattr(sys.modules[name], "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        found, file = spec is not None, spec and spec.origin
    return found and not (file and Path(file).exists() and path.samefile(file))


class _Texts(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):  # type: ignore[misc]  # of typeshed
    """Finds and loads modules from the texts that were read; compiled code is neither read nor written."""

    def __init__(self) -> None:
        self.texts: dict[str, Text] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.texts:
            return None
        return importlib.util.spec_from_file_location(fullname, self.texts[fullname].path, loader=self)

    def get_filename(self, fullname: str) -> str:
        return str(self.texts[fullname].path)

    def get_data(self, path: str) -> bytes:
        return next(text.content for text in self.texts.values() if str(text.path) == path)


_TEXTS = _Texts()
