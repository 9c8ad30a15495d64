"""What the executor `ray` does without a cluster; the rest is in tests/cluster/test_ray.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddbench.core.errors import DDBenchError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.folder import Store
from ddbench.work.executors import ray
from ddbench.work.executors.base import Run
from ddbench.work.executors.wanted import Wanted
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent


def run(tmp_path, **wanted):
    return Run(Store(tmp_path), installed(), 4, Interrupts(), Silent(), wanted=Wanted(**wanted))


def test_addresses_for_drivers_outside_a_cluster_are_refused(tmp_path):
    with pytest.raises(UsageError, match="HOST:PORT"):
        ray.OnRay(run(tmp_path, address="ray://head:10001"))


@pytest.fixture
def ends(tmp_path, monkeypatch):
    """How a run ends where Ray is this text."""

    def how(text, error, match, **wanted):
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray/__init__.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        place = ray.OnRay(run(tmp_path, **wanted))
        try:
            assert place.slots == 0
            with pytest.raises(error, match=match):
                while True:
                    place.poll(1.0)
        finally:
            place.close()

    return how


def test_a_link_that_cannot_start_says_why_in_one_line(ends):
    text = "import sys\nprint('noise')\nprint('[2026 E 1 2] rpc.cc:20: No luck. See the log.', file=sys.stderr)\nsys.exit(3)\n"
    ends(text, DDBenchError, r"Ray does not start: No luck$")


def test_a_token_that_is_missing_is_a_mistake_and_no_defect(ends):
    text = (
        "class exceptions:\n    class RayError(Exception): pass\n    class AuthenticationError(RayError): pass\n"
        "def init(**words): raise exceptions.AuthenticationError('no authentication token was found')\n"
    )
    ends(text, UsageError, r"^--executor ray: no authentication token was found", address="auto")


def test_claims_are_the_workers_where_they_see_the_folder_and_else_the_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "_Link", lambda settings: None)
    assert ray.OnRay(run(tmp_path)).claims
    assert not ray.OnRay(run(tmp_path, store="driver")).claims


def test_a_python_path_holds_in_another_folder(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "here", "/there"]))
    found = ray._environment("mark")["PYTHONPATH"].split(os.pathsep)
    assert found == [str(Path("here").absolute()), "/there"]
