"""Every test works in a home of its own; torch uses one thread because pytest-xdist already uses both cores."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("DDBENCH_PLUGINS_STRICT", None)


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded digits and artifacts are shared by the tests of one worker, compiled operations by all workers."""
    base, home = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("home")
    compiled = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    compiled.mkdir(exist_ok=True)
    (home / "compiled").symlink_to(compiled, target_is_directory=True)
    os.environ["DDBENCH_HOME"] = str(home)


@pytest.fixture(scope="session")
def new_home(_session_home: None) -> Callable[[Path], Path]:
    """Makes a home with digits and compiled operations alone, for processes that would make these anew, in seconds."""
    from ddbench.core.plugin.loader import installed
    from ddbench.data.prepared.prepare import resolve
    from ddbench.data.prepared.sources import parse_source
    from ddbench.models.fused.library import FOLDER

    shared = Path(os.environ["DDBENCH_HOME"])
    resolve(parse_source("digits", installed().datasets))

    def make(home: Path) -> Path:
        home.mkdir()
        (home / FOLDER).symlink_to((shared / FOLDER).resolve(), target_is_directory=True)
        shutil.copytree(shared / "data" / "digits", home / "data" / "digits")
        return home

    return make


@pytest.fixture(autouse=True)
def _plain_operations() -> Iterator[None]:
    """Every test begins as a new process does: a node that was run here leaves its engine behind."""
    yield
    block = sys.modules.get("ddbench.models.fused.block")
    if block is not None:
        block.turn(False)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C as it is in a terminal: a shell that starts a command beside itself lets it ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``$DDBENCH_HOME`` for tests that look inside it."""
    home = tmp_path / "home"
    monkeypatch.setenv("DDBENCH_HOME", str(home))
    return home


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_home: Callable[[Path], Path]) -> Path:
    """A ``$DDBENCH_HOME`` as of :func:`new_home`, without artifacts of other tests."""
    home = new_home(tmp_path / "home")
    monkeypatch.setenv("DDBENCH_HOME", str(home))
    return home
