"""Every test works in a home of its own; torch uses one thread because pytest-xdist already uses both cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("DDBENCH_PLUGINS_STRICT", None)


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded digits and artifacts are shared by the tests of one worker."""
    os.environ["DDBENCH_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``$DDBENCH_HOME`` for tests that look inside it."""
    home = tmp_path / "home"
    monkeypatch.setenv("DDBENCH_HOME", str(home))
    return home
