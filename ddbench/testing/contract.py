"""The contracts of all kinds of members: how a check is run, and the test classes that plugin authors subclass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ddbench.core.errors import DDBenchError, NodeFailureError, PluginError
from ddbench.core.plugin.loader import Registries, installed, load
from ddbench.core.plugin.places import place_of, placed
from ddbench.models.fused.library import lend
from ddbench.testing import compare
from ddbench.testing.architecture_checks import ARCHITECTURE_CHECKS, ArchitectureBench
from ddbench.testing.artifact_checks import ARTIFACT_CHECKS, ArtifactBench
from ddbench.testing.dataset_checks import DATASET_CHECKS, DatasetBench
from ddbench.testing.protocol_checks import PROTOCOL_CHECKS, ProtocolBench
from ddbench.testing.record_checks import RECORD_CHECKS
from ddbench.testing.run_checks import RUN_CHECKS
from ddbench.testing.subject import Bench, Subject
from ddbench.work.failures import is_ours, trace_of

if TYPE_CHECKING:
    import pytest

Check = Callable[[Any], None]
"""Gets the bench; raises AssertionError when the law in its docstring does not hold."""

CHECKS: tuple[Check, ...] = (*RECORD_CHECKS, *RUN_CHECKS)
"""Those of methods."""


class Home(Protocol):
    """A bench: what a check gets."""

    def home(self) -> AbstractContextManager[None]:
        """A block in which ``$DDBENCH_HOME`` is the bench's."""
        ...


ODD_SEED = 20_491
"""What the global generators start from in each check. A plugin that seeds them always alike would leave them as an
earlier check found them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check went.

    Attributes:
        name: The check's name.
        law: What it demands.
        problem: Why it failed, one line; None when it passed.
        trace: The traceback, where code of the plugin raised something.
    """

    name: str
    law: str
    problem: str | None
    trace: str | None = None


def run_check(check: Check, bench: Home) -> Outcome:
    """Run a check; whatever the plugin raises, ``SystemExit`` included, is a failure of this check."""
    problem = trace = None
    try:
        with bench.home(), compare.global_seeds(ODD_SEED), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(bench)
    except (Exception, SystemExit) as error:
        problem, trace = _problem(error), _trace(error)
    return Outcome(check.__name__, law(check), problem, trace)


def _problem(error: BaseException) -> str:
    """Why a check failed: its own words, or what was raised, and where in the plugin."""
    if _is_a_verdict(error):
        return _one_line(str(error)) or "assertion failed"
    if isinstance(error, SystemExit):
        return placed(f"the plugin called sys.exit({error.code!r})", error)
    return placed(_one_line(f"{type(error).__name__}: {error}").rstrip(": "), error)


def _trace(error: BaseException) -> str | None:
    """Frame by frame what was raised, here or in a node that a check ran; None where words say all."""
    cause: BaseException | None = error
    while cause is not None:
        if notes := getattr(cause, "__notes__", None):  # of with_log
            return "\n".join(notes)
        cause = cause.__cause__
    told = isinstance(error, NodeFailureError) or (isinstance(error, DDBenchError) and place_of(error) is None)
    return None if told or _is_a_verdict(error) else trace_of(error)


def _is_a_verdict(error: BaseException) -> bool:
    """Whether it is the check that speaks: a plugin may hold assertions as well."""
    return isinstance(error, AssertionError) and is_ours(error)


def law(check: Check) -> str:
    """The law that a check states in its docstring."""
    return (check.__doc__ or "").strip().splitlines()[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def bench_of(
    noun: str,
    name: str,
    known: Registries,
    home: Path,
    *,
    plugin: Path | None = None,
    fast: Mapping[str, Any] | None = None,
    files: Path | None = None,
    device: str = "cpu",
) -> tuple[Home, tuple[Check, ...]]:
    """The bench of a member, and the laws of its kind.

    Args:
        noun: What it is, as its registry says.
        name: The member.
        known: Where it is registered.
        home: ``$DDBENCH_HOME`` of the bench.
        plugin: Its file, for a one-file plugin.
        fast: Overrides of params, for methods and artifact kinds.
        files: Folder of the files of a data set.
        device: Where methods run.

    Raises:
        UsageError: If there is no such member.
        PluginError: If the plugin that has this name did not load.
    """
    home.mkdir(parents=True, exist_ok=True)
    lend(home)
    if noun == "data set":
        record = known.datasets.get(name)
        return DatasetBench(record, known.datasets, known, home, plugin, files), DATASET_CHECKS
    if noun == "architecture":
        family = known.architectures.get(name)
        return ArchitectureBench(family, known.architectures, known, home, plugin), ARCHITECTURE_CHECKS
    if noun == "protocol":
        protocol = known.protocols.get(name)
        return ProtocolBench(protocol, known.protocols, known, home, plugin), PROTOCOL_CHECKS
    if noun == "artifact kind":
        kind = known.artifacts.get(name)
        return ArtifactBench(kind, known.artifacts, known, home, plugin, fast or {}), ARTIFACT_CHECKS
    failed = next((report for report in known.reports if report.error and report.name == name), None)
    if failed is not None and name not in known.methods:
        raise PluginError(failed.line())
    return Bench(Subject(known.methods.get(name), known, fast or {}, plugin, device), home), CHECKS


class Contract:
    """Base of the contract tests of all members: one pytest test per check.

    Attributes:
        name: The member.
        fast: Overrides of params that make a run take seconds, for methods (on top of the smoke preset) and artifacts.
        plugin: The file of a one-file plugin; None: the member is installed.
        expected_failures: Check name → why this member fails it; the test then demands that it does.
        checks: The laws.
        noun: What the member is.
    """

    name: ClassVar[str]
    fast: ClassVar[Mapping[str, Any]] = {}
    plugin: ClassVar[Path | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = {}
    checks: ClassVar[tuple[Check, ...]]
    noun: ClassVar[str]
    _bench: ClassVar[Any] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per check (a hook, so that this module works without pytest)."""
        import pytest

        if "check" not in metafunc.fixturenames:
            return
        names = {check.__name__ for check in self.checks}
        odd = sorted(set(self.expected_failures) - names)
        if odd:
            raise ValueError(f"{type(self).__name__}.expected_failures: no check is called {odd[0]!r}")
        metafunc.parametrize("check", [pytest.param(check, id=check.__name__) for check in self.checks])

    def test_contract(self, check: Check, tmp_path_factory: pytest.TempPathFactory) -> None:
        """The member keeps the law that the check states."""
        import pytest

        outcome = run_check(check, self._ready(tmp_path_factory.getbasetemp()))
        reason = self.expected_failures.get(outcome.name)
        if reason is not None:
            if outcome.problem is None:
                pytest.fail(f"{outcome.name} passes now: remove it from expected_failures", pytrace=False)
            pytest.xfail(reason)
        if outcome.problem is not None:
            told = f"{outcome.law}\n{self.name}: {outcome.problem}"
            pytest.fail(f"{told}\n{outcome.trace}" if outcome.trace else told, pytrace=False)

    @classmethod
    def _ready(cls, folder: Path) -> Home:
        """The bench of this class, made once per process; classes share the folder, hence equal artifacts."""
        if cls._bench is None:
            cls._bench = cls.bench(folder / "ddbench-contract")
        bench: Home = cls._bench
        return bench

    @classmethod
    def bench(cls, home: Path) -> Home:
        """What the checks get, with a ``$DDBENCH_HOME`` of its own."""
        registries = installed() if cls.plugin is None else load([cls.plugin])
        files = getattr(cls, "files", None)
        return bench_of(cls.noun, cls.name, registries, home, plugin=cls.plugin, fast=cls.fast, files=files)[0]


class MethodContract(Contract):
    """The contract of a method.

    ::

        class TestDM(MethodContract):
            name = "dm"
            fast = {"iterations": 3, "batch_real": 4}
    """

    checks, noun = CHECKS, "method"


class DatasetContract(Contract):
    """The contract of a data set.

    Attributes:
        files: Folder with the files that its reader reads; None: it needs none.
    """

    checks, noun = DATASET_CHECKS, "data set"
    files: ClassVar[Path | None] = None


class ArchitectureContract(Contract):
    """The contract of a family of architectures: its networks are built, narrow ones."""

    checks, noun = ARCHITECTURE_CHECKS, "architecture"


class ProtocolContract(Contract):
    """The contract of an evaluation protocol: it evaluates two images of each class of digits."""

    checks, noun = PROTOCOL_CHECKS, "protocol"


class ArtifactContract(Contract):
    """The contract of a kind of artifacts, built from digits; ``fast`` gives the params that have no default."""

    checks, noun = ARTIFACT_CHECKS, "artifact kind"
