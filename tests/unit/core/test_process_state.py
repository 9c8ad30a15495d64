"""The state of the process: whatever code of others changes is named and put back, and nodes start from one state."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from ddbench.core import process_state
from ddbench.core.process_state import kept

CHANGES = {
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's precision of matrix products": lambda: torch.set_float32_matmul_precision("medium"),
    "torch's grad mode": lambda: torch.set_grad_enabled(False),
    "torch's deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "torch's anomaly detection": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "torch's denormal numbers": lambda: torch.set_flush_denormal(True),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's autocast on cpu": lambda: torch.set_autocast_enabled("cpu", True),
    "torch's autocast on cuda": lambda: torch.set_autocast_dtype("cuda", torch.bfloat16),
    "torch.backends.cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "torch.backends.mkldnn.enabled": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "numpy.seterr": lambda: np.seterr(all="raise"),
    "os.environ (DDBENCH_HOME)": lambda: os.environ.update(DDBENCH_HOME="/nowhere"),
    "os.environ (HOME)": lambda: os.environ.pop("HOME", None),
    "the working folder": lambda: os.chdir("/"),
    "sys.path": lambda: sys.path.insert(0, "/nowhere"),
    "the filters of warnings": lambda: warnings.simplefilter("error"),
    "sys.stdout": lambda: setattr(sys, "stdout", None),
    "sys.excepthook": lambda: setattr(sys, "excepthook", print),
    "the recursion limit": lambda: sys.setrecursionlimit(5000),
    "the garbage collector": gc.disable,
    "the mask of new files": lambda: os.umask(0o777),
    "limits of resources": lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (50, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    ),
    "the handler of SIGINT": lambda: signal.signal(signal.SIGINT, lambda *_: None),
    "the handler of SIGTERM": lambda: signal.signal(signal.SIGTERM, lambda *_: None),
    "a timer of signals": lambda: signal.setitimer(signal.ITIMER_REAL, 3600),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seed", [None, 7])
def test_what_changes_is_named_and_put_back(name, seed, monkeypatch):
    monkeypatch.setenv("HOME", "/root")
    before = process_state.settings()
    with kept(seed=seed) as changes:
        CHANGES[name]()
    assert changes.names == [name]
    assert process_state.changed(before) == []
    assert changes.text == f"changed {name} for the whole process, which was put back"


def test_what_is_put_back_by_its_code_is_no_change():
    with kept() as changes, torch.no_grad(), torch.autocast("cpu"):
        os.environ["DDBENCH_TEST_X"] = "1"
        del os.environ["DDBENCH_TEST_X"]
    assert changes.text == ""


def test_what_libraries_set_for_themselves_stays(monkeypatch):
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK", raising=False)
    with kept() as changes:
        os.environ["KMP_DUPLICATE_LIB_OK"] = "True"  # as scikit-learn does when it is imported
    assert changes.text == "" and os.environ.pop("KMP_DUPLICATE_LIB_OK") == "True"


def test_an_error_goes_on_and_the_state_is_put_back():
    with pytest.raises(ZeroDivisionError), kept() as changes:
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError
    assert torch.get_default_dtype() == torch.float32
    assert changes.names == ["torch's default dtype"]


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_global_generators_start_from_the_seed_and_go_on_as_if_nothing_was_drawn():
    with kept():
        expected = draws()
    with kept(seed=3):
        first = draws()
    with kept(seed=3) as changes:
        assert draws() == first
    with kept(seed=4):
        assert draws() != first
    assert draws() == expected
    assert changes.text == "", "who draws is not blamed"


def test_a_node_starts_from_the_known_state_whatever_the_process_has():
    with kept():
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        torch.set_grad_enabled(False)
        with kept(seed=0):
            assert torch.get_default_dtype() == torch.float32
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
        assert not torch.is_grad_enabled()


def test_a_thread_that_is_left_running_is_named():
    go = threading.Event()
    with kept() as changes:
        threading.Thread(target=go.wait, name="left").start()
        threading.Thread(target=go.wait, daemon=True).start()
    go.set()
    assert changes.threads == ["left"]
    assert changes.text == "left 1 thread running"


def test_several_changes_of_the_environment_are_counted():
    with kept() as changes:
        os.environ.update({f"DDBENCH_TEST_{n}": "1" for n in range(5)})
    assert changes.names == ["os.environ (DDBENCH_TEST_0, DDBENCH_TEST_1, DDBENCH_TEST_2 and 2 more)"]


LOWERED = """
import resource, sys, threading
from ddbench.core import process_state
from ddbench.work.executors.serve import _left_behind
true, name, (soft, hard) = resource.setrlimit, resource.RLIMIT_NOFILE, eval(sys.argv[1])
def as_nobody(number, limits):
    if number == name and limits[1] > resource.getrlimit(number)[1]:
        raise ValueError("not allowed to raise maximum limit")
    true(number, limits)
resource.setrlimit = as_nobody
true(name, (200, 300))
with process_state.kept(seed=0) as changes:
    resource.setrlimit(name, (soft, hard))
    if len(sys.argv) > 2:
        sys.setrecursionlimit(5000)
print(resource.getrlimit(name), _left_behind(set(threading.enumerate()), 0), changes.text, sep="|")
"""


@pytest.mark.parametrize(
    ("limits", "more", "left", "ends", "told"),
    [
        ((50, 100), False, (100, 100), True, "changed limits of resources for the whole process, which could not be"),
        ((50, 250), False, (200, 250), True, "changed limits of resources for the whole process, which could not be"),
        ((50, 300), False, (200, 300), False, "changed limits of resources for the whole process, which was put back"),
        (
            (50, 100),
            True,
            (100, 100),
            True,
            "changed the recursion limit for the whole process, which was put back; ch",
        ),
        ((200, 300), False, (200, 300), False, ""),
    ],
)
def test_a_hard_limit_that_was_lowered_is_told_and_costs_the_worker_its_place(limits, more, left, ends, told):
    words = [sys.executable, "-c", LOWERED, str(limits), *["x"] * more]
    end = subprocess.run(words, capture_output=True, text=True, check=True)
    there, ended, text = end.stdout.strip().split("|")
    assert (there, ended) == (str(left), str(ends))
    assert text.startswith(told) and bool(text) == bool(told)
