"""The guard around code of plugins: it ends in time, and neither ends nor doubles the process."""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ddbench.core.errors import PluginError, StoreError
from ddbench.core.plugin import limited as module
from ddbench.core.plugin.limited import limited
from ddbench.core.plugin.refusals import refusing


@pytest.fixture
def quiet(monkeypatch):
    """A machine that is not busy, whatever it does."""
    monkeypatch.setattr(module, "busy", lambda waited: False)


def _for_ever():
    while True:
        with contextlib.suppress(Exception):  # as code of others may
            threading.Event().wait(60)


def test_a_limit_ends_what_takes_too_long_and_what_catches_its_error(quiet):
    handler = signal.getsignal(signal.SIGALRM)
    with pytest.raises(PluginError, match=r"^planning slow took longer than 0\.1 s$"), limited("planning slow", 0.1):
        _for_ever()
    assert signal.getsignal(signal.SIGALRM) == handler


def test_a_limit_rings_again_for_what_catches_everything(quiet, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S", 0.05)
    swallowed = []
    with pytest.raises(PluginError, match="took longer than"), limited("planning slow", 0.05):
        while len(swallowed) < 2 * module.ATTEMPTS:  # this process is pytest's, which is not ended
            try:
                threading.Event().wait(60)
            except BaseException as error:
                swallowed.append(error)
        threading.Event().wait(60)


def test_a_limit_is_extended_three_times_on_a_busy_machine(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "busy", lambda waited: not asked.append(waited))
    message = r"^planning slow took longer than 0\.4 s, the limit of 0\.1 s on a busy machine$"
    with pytest.raises(PluginError, match=message), limited("planning slow", 0.1):
        _for_ever()
    assert len(asked) == module.MORE
    assert all(waited >= 0 for waited in asked)


def test_a_machine_that_calms_down_extends_no_more(monkeypatch):
    answers = [False, True]
    monkeypatch.setattr(module, "busy", lambda waited: answers.pop())
    with pytest.raises(PluginError, match=r"longer than 0\.2 s"), limited("planning slow", 0.1):
        _for_ever()
    assert answers == []


def test_a_plugin_that_is_slow_on_a_busy_machine_is_not_refused(monkeypatch):
    monkeypatch.setattr(module, "busy", lambda waited: True)
    with limited("planning slow", 0.3):
        threading.Event().wait(0.5)


@pytest.mark.parametrize(
    ("load", "waited", "expected"), [(0.5, 0.0, False), (2.0, 0.0, False), (2.1, 0.0, True), (0.5, 0.3, True)]
)
def test_a_machine_is_busy_by_its_load_or_by_how_long_a_thread_waits(load, waited, expected, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert module.busy(waited) is expected


def test_an_alarm_of_others_still_comes():
    rang, before = [], signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    left = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with limited("quick"):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.2
        threading.Event().wait(0.4)
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)
    assert rang == [True]


def test_an_alarm_of_a_plugins_own_is_named():
    message = "^its code set an alarm of its own, which rang while loading$"
    with pytest.raises(PluginError, match=message), limited("loading x"):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        _for_ever()


def test_there_is_no_limit_outside_the_main_thread_and_the_process_is_kept_there_too():
    done = []

    def work():
        with limited("work", 0.01):
            threading.Event().wait(0.05)
        done.append(True)
        try:
            with limited("loading x"):
                os._exit(7)
        except PluginError as error:
            done.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True, "its code called os._exit(7) while loading"]


# ----------------------------------------------------------------------------------------------- ends of the process

SYSTEM = importlib.import_module(os.name)
ENDS = {
    f"{os.name}._exit(0)": (SYSTEM, "_exit", 0),
    f"{os.name}.abort()": (SYSTEM, "abort"),
    f"{os.name}.kill(": (SYSTEM, "kill", os.getpid(), signal.SIGCONT),
    "_thread.interrupt_main()": (_thread, "interrupt_main"),
    "os._exit(0)": (os, "_exit", 0),
    "os._exit('bye')": (os, "_exit", "bye"),
    "os.abort()": (os, "abort"),
    "os.fork()": (os, "fork"),
    "os.forkpty()": (os, "forkpty"),
    "os.execv(": (os, "execl", sys.executable, sys.executable, "-c", "0"),
    "os.kill(": (os, "kill", os.getpid(), signal.SIGCONT),
    "os.kill(0, signal.SIGCONT)": (os, "kill", 0, signal.SIGCONT),
    "os.killpg(": (os, "killpg", 0, signal.SIGCONT),
    "signal.raise_signal(": (signal, "raise_signal", signal.SIGCONT),
    "signal.pthread_kill(": (signal, "pthread_kill", threading.main_thread().ident, signal.SIGCONT),
}


@pytest.mark.parametrize("call", ENDS)
def test_a_plugin_does_not_end_or_double_the_process(call):
    owner, name, *given = ENDS[call]
    before = {(of, one): getattr(of, one) for of in (os, SYSTEM) for one in ("_exit", "abort", "fork", "kill", "execv")}
    with pytest.raises(PluginError) as raised, limited("loading x"):
        getattr(owner, name)(*given)
    assert str(raised.value).startswith(f"its code called {call}")
    assert str(raised.value).endswith(" while loading")
    assert {(of, one): getattr(of, one) for of, one in before} == before


def test_a_question_has_one_answer_or_one_line(capsys):
    class MuteError(ValueError):
        def __str__(self):
            raise SystemExit

    def fails(error):
        raise error

    assert module.asked("planning x", lambda: print("NOISE") or 3) == 3
    assert capsys.readouterr() == ("", "NOISE\n")
    told = {
        "OSError: [Errno 28] full": OSError(28, "full"),
        "SystemExit: 3": SystemExit(3),
        "MuteError: its text cannot be shown (SystemExit)": MuteError(),
        "StoreError: the store is away": StoreError("the store is away"),
        "its code raised KeyboardInterrupt while planning": KeyboardInterrupt(),
    }
    for line, error in told.items():
        with pytest.raises(PluginError) as raised:
            module.asked("planning x", lambda error=error: fails(error))
        assert str(raised.value) == line


def test_what_is_refused_counts_if_it_is_caught():
    def code():
        with contextlib.suppress(BaseException):
            os._exit(0)

    with pytest.raises(PluginError, match=r"called os\._exit\(0\) while loading"), limited("loading x"):
        code()


def test_other_processes_can_be_started_asked_for_and_ended():
    with limited("loading x"):
        os.kill(os.getpid(), 0)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


def test_what_a_library_kept_of_os_works_afterwards_and_blocks_may_be_nested():
    real = os.kill
    with refusing() as outer:
        kept = os.kill
        with refusing() as inner:
            assert os.kill is kept
        assert os.kill is kept is not real
    assert (outer, inner) == ([], [])
    assert os.kill is real
    kept(os.getpid(), signal.SIGCONT)


def test_other_threads_may_end_the_process():
    ended = []
    with refusing():
        thread = threading.Thread(target=lambda: ended.append(os.kill(os.getpid(), signal.SIGCONT)))
        thread.start()
        thread.join()
    assert ended == [None]


# --------------------------------------------------------------------------------------------------- KeyboardInterrupt


def ctrl_c():
    """As the user's: from outside."""
    subprocess.run(["kill", "-INT", str(os.getpid())], check=True)
    time.sleep(5)


def test_a_plugins_own_keyboard_interrupt_is_its_failure():
    with pytest.raises(PluginError, match=r"^its code raised KeyboardInterrupt while loading$"), limited("loading x"):
        raise KeyboardInterrupt


def test_the_users_interrupt_is_one_whatever_the_code_makes_of_it(interrupts):
    def caught():
        with contextlib.suppress(BaseException):
            ctrl_c()

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), limited("loading x"):
        ctrl_c()
    with pytest.raises(KeyboardInterrupt), limited("loading x"):
        try:
            ctrl_c()
        except BaseException as error:
            raise ImportError from error
    with pytest.raises(KeyboardInterrupt), limited("loading x"), limited("importing y"):
        caught()
    assert signal.getsignal(signal.SIGINT) == handler


def test_an_interrupt_that_waits_for_a_checkpoint_is_none_of_the_code(interrupts):
    waiting, before = [], signal.signal(signal.SIGINT, lambda *_: waiting.append(True))
    try:
        with pytest.raises(PluginError, match="its code raised KeyboardInterrupt"), limited("loading x"):
            subprocess.run(["kill", "-INT", str(os.getpid())], check=True)
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)
    assert waiting == [True]


@pytest.mark.parametrize("error", [StopIteration, GeneratorExit, SystemExit, ImportError("x"), BaseException])
def test_other_exceptions_go_on_as_they_are(error):
    with pytest.raises(error if isinstance(error, type) else type(error)), limited("loading x"):
        raise error


# -------------------------------------------------------------------------------------------------- a process of its own


def command(body, seconds=60.0):
    """What becomes of a command's process in which code of a plugin runs."""
    text = f"""
import ctypes, signal, sys, time
from ddbench.core.plugin import limited, refusals
refusals.process_is_ours()
limited.busy = lambda waited: False
limited.AGAIN_S = 0.05
def plugin():
{body}
print("before", end="")
with limited.limited("loading x", {seconds}):
    limited.called("loading plugin 'x'", plugin)
"""
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)


def test_code_that_catches_everything_is_ended_with_its_process():
    run = command(
        """
    while True:
        try:
            time.sleep(1)
        except:
            pass
""",
        0.1,
    )
    assert run.returncode == 2
    assert run.stdout == "before"
    assert run.stderr == (
        "ddbench: loading x took longer than 0.1 s, and its code catches all that is raised to end it: the command is "
        "ended\n"
    )


def test_a_crash_says_what_was_loading():
    run = command("    ctypes.string_at(0)")
    assert run.returncode == -signal.SIGSEGV
    assert "in loading plugin 'x'" in run.stderr


def test_the_crash_handler_is_put_back():
    enabled = faulthandler.is_enabled()
    faulthandler.disable()
    try:
        with limited("loading x"):
            assert faulthandler.is_enabled()
        assert not faulthandler.is_enabled()
    finally:
        if enabled:
            faulthandler.enable()
