"""What comes out of a node: ours, the user's, or the plugin's own, whatever it looks like."""

from __future__ import annotations

import errno
import json

import pytest

from ddbench.core.errors import CorruptFileError, InterruptedRunError, NodeFailureError, StoreError
from ddbench.core.store import files
from ddbench.core.store.tensors import load_set
from ddbench.work import failures
from ddbench.work.failures import failure, is_nobodys, trace_of
from ddbench.work.interrupts import Interrupts


class UnspeakableError(Exception):
    def __str__(self):
        raise ZeroDivisionError("in __str__")


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("bad \udcff text"), "failed", r"ValueError: bad \udcff text"),
        (ValueError("\x1b[31mred\x00\nsecond line"), "failed", r"ValueError: \x1b[31mred\x00 second line"),
        (UnspeakableError(), "failed", "UnspeakableError: its text cannot be shown (ZeroDivisionError)"),
        (SystemExit(UnspeakableError()), "failed", "the plugin called sys.exit(UnspeakableError())"),
        (SystemExit("a\nb"), "failed", r"the plugin called sys.exit('a\nb')"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
        (InterruptedRunError("mine"), "failed", "mine"),
        (StoreError("mine"), "failed", "mine"),
        (CorruptFileError("mine"), "failed", "mine"),
        (OSError(errno.ENOSPC, "mine"), "failed", "OSError: [Errno 28] mine"),
        (OSError(errno.EDQUOT, "mine"), "failed", "OSError: [Errno 122] mine"),
        (RuntimeError("os error 28"), "failed", "RuntimeError: os error 28"),
        (NodeFailureError("nan", "no number"), "nan", "no number"),
        (NodeFailureError("unheard-of", "odd"), "failed", "odd"),
        (MemoryError("can't"), "oom", "can't"),
        (GeneratorExit(), "failed", "GeneratorExit"),
    ],
)
def test_what_a_plugin_raises_is_its_own_failure(tmp_path, fresh_home, error, status, reason):
    interrupts = Interrupts()
    with interrupts.installed():
        caught = raised(error)
        assert not is_nobodys(caught, tmp_path, interrupts)
    assert failure(caught) == (status, reason)
    json.dumps(reason).encode()
    assert "test_failures" in trace_of(caught)


def test_a_file_that_ddbench_finds_damaged_is_no_failure(tmp_path):
    (tmp_path / "set.safetensors").write_bytes(b"cut")
    with pytest.raises(CorruptFileError) as error:
        load_set(tmp_path / "set.safetensors")
    assert is_nobodys(error.value, tmp_path, Interrupts())


def test_the_users_ctrl_c_is_the_users():
    interrupts = Interrupts()
    with interrupts.installed():
        interrupts.requested = True
        assert is_nobodys(raised(KeyboardInterrupt()), None, interrupts)
        assert is_nobodys(raised(InterruptedRunError("interrupted")), None, interrupts)


def test_it_is_the_users_as_well_where_a_plugin_took_the_signal_handler(monkeypatch):
    import signal

    interrupts = Interrupts()
    with interrupts.installed():
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        assert is_nobodys(raised(KeyboardInterrupt()), None, interrupts)
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x"), RuntimeError("os error 28")])
def test_a_disk_that_is_full_ends_the_run(tmp_path, fresh_home, monkeypatch, error):
    monkeypatch.setattr(failures, "_takes", lambda folder: folder != files.home())
    with pytest.raises(StoreError, match="no space left"):
        is_nobodys(error, tmp_path, Interrupts())


def test_whether_a_disk_takes_more_is_tried(tmp_path):
    assert failures._takes(tmp_path)
    assert failures._takes(tmp_path / "not there"), "what cannot be tried says nothing"
    assert not list(tmp_path.iterdir())
