"""A registered method on a bench: it is planned, fed and run by the product's own planner, worker and loop."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from ddbench.core.api import CondensedSet, Limits, Method, MethodInfo, Params
from ddbench.core.documents import ArtifactDocument, CellDocument
from ddbench.core.errors import InterruptedRunError, NodeFailureError, PluginError
from ddbench.core.plugin.loader import Registries, import_target, installed, load
from ddbench.core.profiles import profile
from ddbench.core.specs import Budget, CellSpec
from ddbench.core.store import artifacts
from ddbench.core.store.folder import CHECKPOINT, Store
from ddbench.plan import graph, grid, planner, suite
from ddbench.work.attempt import read_log
from ddbench.work.clock import Clock
from ddbench.work.condense import Condensation, History
from ddbench.work.context import Context, open_context
from ddbench.work.continuation import FINAL
from ddbench.work.engine import Engine
from ddbench.work.interrupts import Interrupts
from ddbench.work.meter import Meter
from ddbench.work.monitor import Silent
from ddbench.work.node import run_node

DATASET = "digits"
PROFILE = "smoke"
OWN_RECIPE = "native"
"""A protocol that learns every form of labels."""

T = TypeVar("T", bound=Exception)
Probe = Callable[[Method[Any], Context, str], None]
"""Called with the method, its context and where it is: ``prepare``, ``step 1`` …, ``finalise``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The method under test.

    Attributes:
        info: Its record.
        registries: Where it is registered.
        fast: Overrides that make a run take seconds, on top of the smoke preset.
        plugin: Its file, for a one-file plugin.
        device: Where it runs.
    """

    info: MethodInfo
    registries: Registries
    fast: Mapping[str, Any] = field(default_factory=dict)
    plugin: Path | None = None
    device: str = "cpu"

    @classmethod
    def find(cls, name: str, fast: Mapping[str, Any] | None = None, plugin: Path | None = None) -> Subject:
        """The method called ``name``, of an installed plugin or of the file ``plugin``.

        Raises:
            UsageError: If there is no such method.
            PluginError: If the plugin that has this name did not load.
        """
        registries = installed() if plugin is None else load([plugin])
        failed = next((report for report in registries.reports if report.error and report.name == name), None)
        if failed is not None and name not in registries.methods:
            raise PluginError(failed.line())
        return cls(registries.methods.get(name), registries, fast or {}, plugin)


@dataclass(frozen=True, slots=True)
class Place:
    """One cell, ready to run: its spec, and the folders of the artifacts that it declares."""

    spec: CellSpec
    folders: Mapping[str, Path]

    def with_params(self, **changed: Any) -> Place:
        """The same with other params, which must need no other artifacts."""
        return Place(self.spec.model_copy(update={"params": {**self.spec.params, **changed}}), self.folders)


class Recorded(Context):
    """A context that notes which artifacts were asked for."""

    __slots__ = ("asked",)
    asked: list[str]

    def artifact(self, name: str) -> Path:
        """As in :class:`Context`."""
        self.asked.append(name)
        return super().artifact(name)


@contextmanager
def home_at(folder: Path) -> Iterator[None]:
    """A block in which ``$DDBENCH_HOME`` is ``folder``."""
    before = os.environ.get("DDBENCH_HOME")
    os.environ["DDBENCH_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("DDBENCH_HOME")
        if before is not None:
            os.environ["DDBENCH_HOME"] = before


class Bench:
    """Runs one subject on digits, in a home of its own.

    Args:
        subject: The method under test.
        home: ``$DDBENCH_HOME`` while it runs; benches that share one build equal artifacts once.

    Attributes:
        scratch: A folder for files of a check.
    """

    def __init__(self, subject: Subject, home: Path) -> None:
        self.subject = subject
        self.info = subject.info
        self._home = home
        self.scratch = home / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._places: dict[tuple[int, int, str | None, int | None], Place] = {}
        self._sets: dict[tuple[int, int, str | None], CondensedSet] = {}

    def home(self) -> AbstractContextManager[None]:
        """A block in which ``$DDBENCH_HOME`` is the bench's."""
        return home_at(self._home)

    def grid(self, *, ipc: int = 1, r: int = 0, arch: str | None = None, size: int | None = None) -> grid.Grid:
        """The grid that names the subject's repetitions 0 … r at one budget and architecture; ``size``: of train."""
        content: dict[str, Any] = {
            "methods": [self.info.name],
            "datasets": [DATASET if size is None else {"name": DATASET, "view": {"train_size": size}}],
            "budget": {"ipc": [ipc]},
            "archs": [] if arch is None else [arch],
            "seeds": {"condense": r + 1, "evaluate": 1},
            "profile": PROFILE,
            "set": {self.info.name: dict(self.subject.fast)},
        }
        # There is a student for every such set: of labels alone, or made for one initial state.
        if self.info.labels_only or self.info.kind == "distillation":
            content["protocols"] = [OWN_RECIPE]
        return grid.build(suite.parse(content, "contract"), self.subject.registries, profile(PROFILE))

    def place(self, *, ipc: int = 1, r: int = 0, arch: str | None = None, size: int | None = None) -> Place:
        """A cell of the subject with its artifacts built; ``size``: of train, None for all of it.

        Raises:
            UsageError: If the method says that it does not support this cell.
        """
        if (ipc, r, arch, size) not in self._places:
            self._places[ipc, r, arch, size] = self._make_place(ipc, r, arch, size)
        return self._places[ipc, r, arch, size]

    def _make_place(self, ipc: int, r: int, arch: str | None, size: int | None) -> Place:
        planned = planner.make(self.grid(ipc=ipc, r=r, arch=arch, size=size))
        entry = next(entry for entry in planned.entries if entry.method.name == self.info.name and entry.r == r)
        where = f"{DATASET} at ipc {ipc}"
        assert entry.cell is not None, f"{self.info.name} cannot run on {where}: {entry.skip}"
        node = planned.nodes[entry.cell]
        self._build(planned, node.needs)
        document = node.document
        assert isinstance(document, CellDocument)
        folders = {name: artifacts.verify(*place) for name, place in document.artifacts.items()}
        # A node is shared by all cells that agree in the method's axes: give it the values that were asked for.
        asked: dict[str, Any] = {"budget": Budget(ipc=ipc), "r": r}
        if arch is not None:
            asked["arch"] = planned.grid.canonical(arch)
        return Place(document.cell.model_copy(update=asked), folders)

    def _build(self, planned: graph.Plan, keys: tuple[str, ...]) -> None:
        for key in keys:
            node = planned.nodes[key]
            self._build(planned, node.needs)
            assert isinstance(node.document, ArtifactDocument)
            if artifacts.manifest(node.document.artifact.kind, key) is None:
                engine = Engine(device=self.subject.device, threads=torch.get_num_threads())
                store = Store(self._home / "runs")
                made = run_node(
                    node.document, store, engine,
                    registries=self.subject.registries, interrupts=Interrupts(), monitor=Silent(),
                )  # fmt: skip
                if made.status != "ok":
                    raise with_log(NodeFailureError("failed", made.reason or made.status), store.log(node.document))

    def params(self, place: Place) -> Params:
        """The params of a cell."""
        params: Params = import_target(self.info.params).model_validate(place.spec.params)
        return params

    def method(self, place: Place) -> Method[Any]:
        """A new method object."""
        method: Method[Any] = import_target(self.info.target)(self.params(place))
        return method

    def context(self, place: Place) -> Recorded:
        """A new context of a cell."""
        opened = open_context(
            place.spec,
            owner=self.info.name,
            folders=place.folders,
            registries=self.subject.registries,
            profile=profile(PROFILE),
            device=self.subject.device,
            limits=Limits(),
            monitor=Silent(),
            key="",
        )
        recorded = Recorded(**{name: getattr(opened, name) for name in Context.__dataclass_fields__})
        recorded.asked = []
        return recorded

    def drive(self, place: Place, probe: Probe | None = None, ctx: Context | None = None) -> CondensedSet:
        """Run a cell step by step with a plain loop, calling ``probe`` after every stage."""
        method, ctx, probe = self.method(place), ctx or self.context(place), probe or _look_away
        method.prepare(ctx)
        probe(method, ctx, "prepare")
        while not method.done(ctx):
            method.step(ctx)
            ctx.step += 1
            probe(method, ctx, f"step {ctx.step}")
        condensed = method.finalise(ctx)
        probe(method, ctx, "finalise")
        return condensed

    def condensed(self, *, ipc: int = 1, r: int = 0, arch: str | None = None) -> CondensedSet:
        """The set of a cell as ``ddbench run`` makes it, without interruption; made once and remembered.

        Raises:
            NodeFailureError: If the set is not one that the product accepts.
        """
        if (ipc, r, arch) not in self._sets:
            self._sets[ipc, r, arch] = self.made(self.place(ipc=ipc, r=r, arch=arch))
        return self._sets[ipc, r, arch]

    def made(self, place: Place) -> CondensedSet:
        """The set of a cell, made anew by the product's own loop.

        Raises:
            NodeFailureError: If the set is not one that the product accepts.
        """
        with tempfile.TemporaryDirectory() as folder:
            return self._attempt(place, Path(folder), Interrupts())

    def killed_after_every_step(self, place: Place, steps: int) -> CondensedSet:
        """The set of a cell whose process is stopped after each step and started again from its checkpoint.

        Args:
            place: The cell.
            steps: How many steps an uninterrupted run takes.

        Raises:
            AssertionError: If the method wants more steps than that.
        """
        interrupts = Interrupts()
        interrupts.requested = True
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(steps + 1):
                with suppress(InterruptedRunError):
                    return self._attempt(place, Path(folder), interrupts)
        raise AssertionError(
            f"done after {steps} steps, but not when interrupted and resumed: `done` forgets something"
        )

    def continued(self, shorter: Place, longer: Place) -> CondensedSet:
        """The set of ``longer``, which goes on with the state in which ``shorter`` ended."""
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            self._attempt(shorter, Path(one), Interrupts())
            shutil.copyfile(Path(one, FINAL), Path(two, CHECKPOINT))
            return self._attempt(longer, Path(two), Interrupts())

    def _attempt(self, place: Place, folder: Path, interrupts: Interrupts) -> CondensedSet:
        """One attempt with the product's own loop, continuing from the checkpoint in ``folder``."""
        clock = Clock(interrupts, Silent(), "")
        history = History.read(folder)
        attempt = Condensation(
            self.method(place), self.context(place), clock, Meter(0.0), folder, history, self.info.kind
        )
        return attempt.run()[0]


def with_log(error: T, path: Path) -> T:
    """An error about a node that failed, with the log of that node as a note."""
    if text := read_log(path):
        error.add_note(text)
    return error


def _look_away(method: Method[Any], ctx: Context, where: str) -> None:
    """The probe that looks at nothing."""
