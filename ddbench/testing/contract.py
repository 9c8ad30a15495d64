"""The contract of a method: all checks in order, how one is run, and the test class that plugin authors subclass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ddbench.testing.record_checks import RECORD_CHECKS
from ddbench.testing.run_checks import RUN_CHECKS
from ddbench.testing.subject import Bench, Subject

if TYPE_CHECKING:
    import pytest

Check = Callable[[Bench], None]
"""Raises AssertionError when the law in its docstring does not hold."""

CHECKS: tuple[Check, ...] = (*RECORD_CHECKS, *RUN_CHECKS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check went.

    Attributes:
        name: The check's name.
        law: What it demands.
        problem: Why it failed, one line; None when it passed.
    """

    name: str
    law: str
    problem: str | None


def run_check(check: Check, bench: Bench) -> Outcome:
    """Run a check; whatever the plugin raises, ``SystemExit`` included, is a failure of this check."""
    problem = None
    try:
        with bench.home(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(bench)
    except AssertionError as error:
        problem = _one_line(str(error)) or "assertion failed"
    except SystemExit as error:
        problem = f"the plugin called sys.exit({error.code!r})"
    except Exception as error:
        problem = _one_line(f"{type(error).__name__}: {error}")
    return Outcome(check.__name__, law(check), problem)


def law(check: Check) -> str:
    """The law that a check states in its docstring."""
    return (check.__doc__ or "").strip().splitlines()[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())


class MethodContract:
    """Base of a method's contract test: one pytest test per check.

    ::

        class TestDM(MethodContract):
            name = "dm"
            fast = {"iterations": 3, "batch_real": 4}

    Attributes:
        name: The method.
        fast: Overrides that make a run take seconds, on top of the smoke preset.
        plugin: The file of a one-file plugin; None: the method is installed.
        expected_failures: Check name → why this method fails it; the test then demands that it does.
    """

    name: ClassVar[str]
    fast: ClassVar[Mapping[str, Any]] = {}
    plugin: ClassVar[Path | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = {}
    _bench: ClassVar[Bench | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per check (a hook, so that this module works without pytest)."""
        import pytest

        if "check" not in metafunc.fixturenames:
            return
        names = {check.__name__ for check in CHECKS}
        odd = sorted(set(self.expected_failures) - names)
        if odd:
            raise ValueError(f"{type(self).__name__}.expected_failures: no check is called {odd[0]!r}")
        metafunc.parametrize("check", [pytest.param(check, id=check.__name__) for check in CHECKS])

    def test_contract(self, check: Check, tmp_path_factory: pytest.TempPathFactory) -> None:
        """The method keeps the law that the check states."""
        import pytest

        outcome = run_check(check, self._ready(tmp_path_factory.getbasetemp()))
        reason = self.expected_failures.get(outcome.name)
        if reason is not None:
            if outcome.problem is None:
                pytest.fail(f"{outcome.name} passes now: remove it from expected_failures", pytrace=False)
            pytest.xfail(reason)
        if outcome.problem is not None:
            pytest.fail(f"{outcome.law}\n{self.name}: {outcome.problem}", pytrace=False)

    @classmethod
    def _ready(cls, folder: Path) -> Bench:
        """The bench of this class, made once per process; classes share the folder, hence equal artifacts."""
        if cls._bench is None:
            cls._bench = Bench(Subject.find(cls.name, cls.fast, cls.plugin), folder / "ddbench-contract")
        return cls._bench
