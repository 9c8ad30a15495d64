"""The guarded plugin loader: one broken plugin never breaks the tool."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pluggy

from ddbench.core.api import ArchInfo, ArtifactKind, DatasetRecord, MethodInfo, Params, ProtocolInfo
from ddbench.core.errors import PluginError, UsageError, ambiguous
from ddbench.core.names import meant, nearest
from ddbench.core.plugin import hooks, one_file, places
from ddbench.core.plugin.builtin import CATALOGS
from ddbench.core.plugin.limited import PluginWarning, called, limited, loading
from ddbench.core.plugin.places import one_line
from ddbench.core.plugin.registry import FIRST_PARTY, Origin, Registry, is_file, marked, owner_of
from ddbench.core.specs import ArtifactSpec, CellSpec, EvalSpec

GROUP = "ddbench"


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What became of one plugin.

    Attributes:
        name: Entry-point name, or a one-file plugin's stem.
        origin: Where it came from.
        error: None when it loaded, else one line.
        registered: Names it registered, as ``"method dm"``.
    """

    name: str
    origin: Origin
    error: str | None
    registered: tuple[str, ...] = ()

    def line(self) -> str:
        """The one-line warning for a plugin that failed."""
        where = f"{self.origin.distribution} {self.origin.version}".strip()
        return f"plugin {self.name!r} ({where}) failed to load: {self.error} — run `ddbench plugin doctor`"


def base_of(arch: str) -> str:
    """``convnet3`` of ``convnet3-w128-in``."""
    return arch.partition("-")[0]


def _method_registry() -> Registry[MethodInfo]:
    return Registry("method", "ddbench list methods", MethodInfo)


@dataclass(slots=True)
class Registries:
    """All registered members, how loading went, and the one-file plugins among what was loaded."""

    methods: Registry[MethodInfo] = field(default_factory=_method_registry)
    datasets: Registry[DatasetRecord] = field(
        default_factory=lambda: Registry("data set", "ddbench list datasets", DatasetRecord)
    )
    architectures: Registry[ArchInfo] = field(
        default_factory=lambda: Registry(
            "architecture", "ddbench list archs", ArchInfo, aliases=lambda family: family.bases
        )
    )
    protocols: Registry[ProtocolInfo] = field(
        default_factory=lambda: Registry("protocol", "ddbench list protocols", ProtocolInfo)
    )
    artifacts: Registry[ArtifactKind] = field(
        default_factory=lambda: Registry("artifact kind", "ddbench list artifacts", ArtifactKind)
    )
    reports: list[PluginReport] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def by_hook(self) -> dict[str, Registry[Any]]:
        """Registry of each hook, by the hook's name."""
        return {
            "ddbench_register_methods": self.methods,
            "ddbench_register_datasets": self.datasets,
            "ddbench_register_architectures": self.architectures,
            "ddbench_register_protocols": self.protocols,
            "ddbench_register_artifacts": self.artifacts,
        }

    def named(self, text: str, also: Iterable[str] = ()) -> str:
        """The name that a text means among members of all kinds (:mod:`ddbench.core.names`); itself where it is none.

        Args:
            text: What a user typed.
            also: Further names that may be meant.

        Raises:
            UsageError: If it could mean several.
        """
        registries = self.by_hook().values()
        if any(registry.find(text) is not None for registry in registries):
            return text
        known: dict[str, set[str]] = {name: set() for name in also}
        for registry in registries:
            for name, aliases in registry.called().items():
                known.setdefault(name, set()).update(aliases)
        known |= {base: set() for family in self.architectures for base in family.bases}
        found = meant(text, known)
        if len(found) > 1:
            raise ambiguous("member", text, found)
        return found[0] if found else text

    def origins(
        self, *, protocol: str | None = None, artifact: str | None = None, **archs: str | None
    ) -> dict[str, str]:
        """Where members come from that take part in a computation, by their part in it, as keys hold it.

        What is ddbench's own is left out.

        Args:
            protocol: Name of a protocol.
            artifact: Name of an artifact kind.
            archs: Architecture names, by part.
        """
        found = {part: self.architectures.mark(base_of(arch)) for part, arch in archs.items() if arch}
        if protocol is not None:
            found["protocol"] = marked(self.protocols.origin(protocol).key, 1)  # its version is in the key already
        if artifact is not None:
            found["artifact"] = marked(self.artifacts.origin(artifact).key, 1)
        return {part: mark for part, mark in found.items() if mark}

    def with_origins(self, spec: ArtifactSpec) -> ArtifactSpec:
        """The spec of an artifact, completed by where its kind and its network come from."""
        return spec.model_copy(update={"origins": self.origins(artifact=spec.kind, arch=spec.arch)})

    def missing(self, spec: CellSpec | EvalSpec | ArtifactSpec) -> str | None:
        """Which plugin is not here that takes part in a computation, and how to get it; None when all are."""
        for registry, name, planned in self._planned(spec):
            if planned and registry.find(name) is None:
                key = owner_of(planned)
                how = "name its file: --plugin FILE.py" if is_file(key) else f"install it ({key})"
                return f"the plugin of {registry.noun} {name!r} is not here; {how}"
        return None

    def changed_since(self, spec: CellSpec | EvalSpec | ArtifactSpec) -> str | None:
        """Why what is loaded here is not what a node was planned with; None when it is.

        A worker that loads plugins by itself may find a file that was edited meanwhile, or another distribution.

        Raises:
            UsageError: If it was planned with a method, protocol or artifact kind of ddbench's own that is not here.
        """
        if (reason := self.missing(spec)) is not None:
            return reason
        if (other := self._exchanged(spec)) is None:
            return None
        noun, name, _, _ = other
        return f"the plugin of {noun} {name!r} is another one than this was planned with (it was edited or exchanged)"

    def unlike_record(self, spec: CellSpec | EvalSpec) -> str | None:
        """Why what is loaded here cannot repeat what a record tells, and what can; None when it is what made it."""
        if (reason := self.missing(spec)) is not None:
            return reason
        try:
            other = self._exchanged(spec)
        except UsageError as error:
            return str(error)
        if other is None:
            return None
        noun, name, planned, here = other
        if owner_of(planned) == owner_of(here):
            then, now = (mark.partition("@")[2] or "1" for mark in (planned, here))
            return f"recorded with version {then} of {noun} {name!r}, {now} is here: install {owner_of(here)} of then"
        if is_file(owner_of(planned)):
            return f"recorded with another text of the plugin of {noun} {name!r}: name that file: --plugin FILE.py"
        return f"recorded with another {noun} {name!r}, that of {planned or FIRST_PARTY}: install that one"

    def _exchanged(self, spec: CellSpec | EvalSpec | ArtifactSpec) -> tuple[str, str, str, str] | None:
        """The first member that is another here than that of a spec: noun, name, the marks as planned and as here.

        Raises:
            UsageError: If a method, protocol or artifact kind of ddbench's own is not here.
        """
        for registry, name, planned in self._planned(spec):
            if registry not in (self.datasets, self.architectures):  # there are some that nobody registers
                registry.get(name)
            if (here := registry.mark(name)) != planned:
                return registry.noun, name, planned, here
        return None

    def _planned(self, spec: CellSpec | EvalSpec | ArtifactSpec) -> Iterator[tuple[Registry[Any], str, str]]:
        """The members that take part in a computation: the registry, the name, and the mark as it was planned."""
        if isinstance(spec, CellSpec):
            yield self.methods, spec.method, marked(spec.origin, spec.method_version)
            info = self.methods.find(spec.method)
            if info is not None and "arch" in info.axes:
                yield self.architectures, base_of(spec.arch), spec.origins.get("arch", "")
            for part, planned in spec.origins.items():
                if part != "arch":
                    yield self.architectures, base_of(part.removeprefix("arch ")), planned
        elif isinstance(spec, EvalSpec):
            planned = marked(spec.origins.get("protocol", FIRST_PARTY), spec.protocol_version)
            yield self.protocols, spec.protocol, planned
            yield self.architectures, base_of(spec.arch), spec.origins.get("arch", "")
        else:
            kind = self.artifacts.find(spec.kind)  # its version is in the key alone
            version = 1 if kind is None else kind.version
            yield self.artifacts, spec.kind, marked(spec.origins.get("artifact", FIRST_PARTY), version)
            if spec.arch is not None:
                yield self.architectures, base_of(spec.arch), spec.origins.get("arch", "")
        if not isinstance(spec, EvalSpec):
            yield self.datasets, spec.data.name, spec.data.origin

    @property
    def failed(self) -> list[PluginReport]:
        """Reports of the plugins that did not load."""
        return [report for report in self.reports if report.error is not None]


def load(files: Iterable[Path] = ()) -> Registries:
    """Load ddbench's own members, all installed plugins, and the one-file plugins ``files``.

    Installed plugins that fail become reports and a warning each; with ``DDBENCH_PLUGINS_STRICT=1`` the first is fatal.

    Raises:
        PluginError: If a one-file plugin fails (always strict), or any plugin in strict mode.
    """
    registries = Registries()
    for name in CATALOGS:
        _register(registries, importlib.import_module(name), Origin(FIRST_PARTY, FIRST_PARTY, "", name))
    strict = os.environ.get("DDBENCH_PLUGINS_STRICT") == "1"
    for entry in _ordered_entry_points():
        report = _load_entry(registries, entry)
        registries.reports.append(report)
        if report.error is not None:
            if strict:
                raise PluginError(report.line())
            warnings.warn(report.line(), PluginWarning, stacklevel=2)
    plugins = one_file.read_all(files)
    one_file.put(plugins)
    try:
        for plugin in plugins:
            _load_file(registries, plugin)
    except BaseException:
        one_file.forget(plugins)
        raise
    return registries


@cache
def installed() -> Registries:
    """The members of ddbench and of installed plugins, loaded once per process."""
    return load()


_with_files: list[Registries] = []


def active() -> Registries:
    """What this command knows: :func:`installed`, and the members of its one-file plugins."""
    return _with_files[-1] if _with_files else installed()


@contextlib.contextmanager
def one_file_plugins(files: Iterable[Path]) -> Iterator[Registries]:
    """A block in which :func:`active` knows the members of ``files``, too.

    Raises:
        PluginError: If one cannot be loaded.
    """
    _with_files.append(load(files))
    try:
        yield _with_files[-1]
    finally:
        _with_files.pop()


def import_target(target: str) -> Any:
    """The object that ``"module:Name"`` names.

    Raises:
        PluginError: If the module cannot be imported or has no such name.
    """
    module_name, _, attribute = target.partition(":")
    with contextlib.suppress(
        KeyError, TypeError
    ):  # None stands for what cannot be imported; asked for again and again while a run is planned: no code runs
        return vars(sys.modules[module_name])[attribute]
    try:
        with contextlib.redirect_stdout(sys.stderr), limited(f"importing {module_name}"):
            return getattr(called(f"importing {module_name}", lambda: importlib.import_module(module_name)), attribute)
    except AttributeError:
        raise PluginError(f"module {module_name!r} has no {attribute!r} (named by target {target!r})") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"cannot import {target!r}: {one_line(error)}") from error


def _ordered_entry_points() -> list[EntryPoint]:
    """First-party first, then by distribution and name: who keeps a contested name does not depend on the path."""

    def rank(entry: EntryPoint) -> tuple[bool, str, str]:
        name = _distribution(entry)[0]
        return (name != FIRST_PARTY, name, entry.name)

    return sorted(entry_points(group=GROUP), key=rank)


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    dist = entry.dist
    if dist is None or dist.metadata is None or not dist.name:  # leftovers of a broken uninstall have no metadata
        return "?", ""
    return dist.name, dist.version or ""


def _load_entry(registries: Registries, entry: EntryPoint) -> PluginReport:
    distribution, version = _distribution(entry)
    origin = Origin(distribution, distribution, version, entry.value)
    places.know([entry.value])
    what = f"plugin {entry.name!r}"
    try:
        with loading(what, own=distribution == FIRST_PARTY):
            names = called(f"loading {what}", lambda: _register(registries, entry.load(), origin))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit included: a plugin's exit is the plugin's failure
        return PluginReport(entry.name, origin, one_line(error))
    return PluginReport(entry.name, origin, None, names)


def _load_file(registries: Registries, plugin: one_file.OneFile) -> None:
    """Load a one-file plugin under its stem, so that its targets read ``"stem:Class"``."""
    origin = Origin(plugin.key, str(plugin.path), "", plugin.name)
    places.know(plugin.modules)
    what = f"--plugin {plugin.path}"
    try:
        with loading(what):
            names = called(f"loading {what}", lambda: _register(registries, plugin.load(), origin))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"--plugin {plugin.path}: {one_line(error)}") from error
    registries.reports.append(PluginReport(plugin.name, origin, None, names))
    registries.files.append(plugin.path)


def _register(registries: Registries, module: ModuleType, origin: Origin) -> tuple[str, ...]:
    """Run one plugin's hooks; its members appear only when all of them are sound."""
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(module)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError:
        known = registries.by_hook()
        wrong = next(name for name in vars(manager.hook) if not name.startswith("_") and name not in known)
        near = nearest(wrong, known)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise PluginError(f"unknown hook {wrong!r}; {hint}") from None
    drafts = {hook: registry.draft(origin) for hook, registry in registries.by_hook().items()}
    for hook, draft in drafts.items():
        getattr(manager.hook, hook)(registry=draft)
    if not any(draft.names for draft in drafts.values()):
        raise PluginError("registers nothing: is `@hookimpl` missing?")
    for draft in drafts.values():
        draft.commit()
        places.know(draft.targets)
    return tuple(f"{draft.noun} {name}" for draft in drafts.values() for name in draft.names)


def method_class(info: MethodInfo) -> type[Any]:
    """Import a method's class (this imports torch)."""
    return cast("type[Any]", import_target(info.target))


def params_class(info: MethodInfo) -> type[Any]:
    """Import a method's params class (no torch).

    Raises:
        PluginError: If it is none, or if its ``effort`` names what is no parameter.
    """
    found = import_target(info.params)
    if not (isinstance(found, type) and issubclass(found, Params)):
        raise PluginError(f"method {info.name!r}: {info.params} is not a subclass of ddbench.Params")
    if wrong := [name for name in found.effort if name not in found.model_fields]:
        raise PluginError(f"method {info.name!r}: {info.params}.effort names no parameter: {wrong[0]!r}")
    return found
