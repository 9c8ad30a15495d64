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
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
            others; where it imports from another plugin of the same command, that plugin's, too.
    """

    name: str
    modules: Mapping[str, Text]

    @property
    def key(self) -> str:
        """The sha256 of the file; where other modules belong to it, of all their hashes."""
        hashes = {name: hashlib.sha256(text.content).hexdigest() for name, text in self.modules.items()}
        return hashes[self.name] if len(hashes) == 1 else digest(hashes)

    @property
    def path(self) -> Path:
        """The file."""
        return self.modules[self.name].path

    def load(self) -> ModuleType:
        """Import the plugin from the texts that were put in place."""
        return importlib.import_module(self.name)


def put(plugins: Iterable[OneFile]) -> None:
    """Let the plugins' modules be imported from their texts, in place of what was loaded under these names before."""
    if _TEXTS not in sys.meta_path:
        sys.meta_path.insert(0, _TEXTS)
    for plugin in plugins:
        forget([plugin])
        _TEXTS.texts.update(plugin.modules)


def forget(plugins: Iterable[OneFile]) -> None:
    """Forget the plugins' modules."""
    for name in {name for plugin in plugins for name in plugin.modules}:
        _TEXTS.texts.pop(name, None)
        sys.modules.pop(name, None)


def read_all(paths: Iterable[Path]) -> list[OneFile]:
    """Read the one-file plugins of a command; one that imports from another holds all texts of that one.

    Raises:
        PluginError: As :func:`read`, or if two modules have one name.
    """
    alone = [read(path) for path in paths]
    texts: dict[str, Text] = {}
    for plugin in alone:
        for name, text in plugin.modules.items():
            if text.path.resolve() != texts.setdefault(name, text).path.resolve():
                others = f"{text.path} and {texts[name].path}"
                raise PluginError(f"--plugin {plugin.path}: {others} have one name: rename one of them")
    alone = [OneFile(plugin.name, {name: texts[name] for name in plugin.modules}) for plugin in alone]  # each read once
    return [_with_others(plugin, alone) for plugin in alone]


def _with_others(plugin: OneFile, plugins: Sequence[OneFile]) -> OneFile:
    """The plugin with the modules of those from which it imports, directly or through others."""
    modules, pending = dict(plugin.modules), list(plugin.modules.values())
    while pending:
        imported = {name for name, really in _names_in(pending.pop().content).items() if really} - modules.keys()
        for other in plugins:
            if imported & other.modules.keys():
                pending += [text for name, text in other.modules.items() if name not in modules]
                modules |= other.modules
    return OneFile(plugin.name, modules)


def read(path: Path) -> OneFile:
    """Read a one-file plugin and the modules beside it.

    Raises:
        PluginError: If the file is missing or a package's, or its name is not one that a new module can have.
    """
    stem = path.stem
    if path.is_dir() or (stem == "__init__" and path.is_file()):
        folders = [*([path] if path.is_dir() else []), *path.parents]
        package = next((one for one in folders if (one / "pyproject.toml").is_file()), folders[0])
        how = f"`pip install -e {shlex.quote(str(package))}`"
        raise PluginError(f"--plugin {path}: a package, not a file: install it by {how}, and leave --plugin out")
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
            modules[name] = Text(place, place.read_bytes() if place.exists() else b"")
            for other, imported in sorted(_names_in(modules[name].content).items()):
                pending += _beside(other, path.parent, imported)
    return OneFile(stem, modules)


def _names_in(content: bytes) -> dict[str, bool]:
    """Top-level modules that a text imports or names in a string, inside functions too; none if it has no syntax.

    True for those that it imports, by a statement or a call, or names as a target: another string may mean anything.
    """
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError):
        return {}  # importing it says so
    found: dict[str, bool] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0]: True for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found[node.module.partition(".")[0]] = True
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            texts = [word.value for word in ast.walk(node) if isinstance(word, ast.Constant)]
            found |= {m[1]: True for text in texts if isinstance(text, str) and (m := NAME.fullmatch(text))}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (m := NAME.fullmatch(node.value)):
            found[m[1]] = found.get(m[1], False) or m[3] is not None
    return found


def _beside(name: str, folder: Path, imported: bool) -> Iterator[tuple[str, Path]]:
    """The module or the modules of the package ``name`` in a folder, unless ``import name`` means something else.

    A folder without an ``__init__.py`` counts where it is ``imported``, as if that were there, and empty.
    """
    file, first = folder / f"{name}.py", folder / name / "__init__.py"
    if first.is_file() or (imported and not file.is_file()):
        paths = set(first.parent.rglob("*.py"))
        if paths and not _names_another_module(name, first):
            folders = {place for path in paths for place in path.parents if place.is_relative_to(first.parent)}
            for path in sorted(paths | {place / "__init__.py" for place in folders}):
                parts = path.relative_to(folder).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path
    elif file.is_file() and not _names_another_module(name, file):
        yield name, file


def _names_another_module(name: str, path: Path) -> bool:
    """Whether ``import name`` means something else than this file."""
    if name in _TEXTS.texts:  # of a plugin that was loaded before, perhaps of this one
        return False
    module = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if module is None else getattr(module, "__spec__", None)
    if module is None and spec is None:
        return False
    file = getattr(module, "__file__", None) or (spec and spec.origin)
    folders = (spec and spec.submodule_search_locations) or ()
    places = [Path(file)] if file else [Path(folder) / "__init__.py" for folder in folders]
    return path.resolve() not in [place.resolve() for place in places]


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
