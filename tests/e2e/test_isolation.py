"""Code of others may crash, hang, or change its process: that is its own row, and nobody else's numbers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.runs import PLUGIN, ddbench

ONE = (
    "--seeds",
    "1",
    "--ipc",
    "1",
    "--protocols",
    "hard-fixed",
    "--reference-limit",
    "0s",
    "--profile",
    "smoke",
    "--progress",
    "plain",
    "--threads",
    "1",
)

MISBEHAVING = """
import signal, subprocess, sys, threading, torch

class BadParams(MeanParams):
    iterations: int = 2

def method(name):
    class Bad(Mean):
        def step(self, ctx):
            exec(MISDEEDS[name], globals())
            return super().step(ctx)
    return Bad

MISDEEDS = {
    "exits": "subprocess.Popen(['setsid', 'sleep', '54321']); print('last words', file=sys.stderr, flush=True); os._exit(3)",
    "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hangs": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(10**6)",
    "leaves": "threading.Thread(target=time.sleep, args=(10**6,)).start()",
    "changes": "torch.set_default_dtype(torch.float64); torch.set_float32_matmul_precision('medium');"
               "os.environ['DDBENCH_HOME'] = '/nowhere'; os.chdir('/'); sys.stdout = None",
    "raises": "raise KeyboardInterrupt('mine')",
    "moves": "import tempfile; place = tempfile.mkdtemp(); os.chdir(place); os.rmdir(place)",
    "spoils": "torch.nn.Module.__call__ = torch.Tensor.sum = torch.Tensor.float = None",
    "lowers": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))",
    "looks": "import resource; assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 100, 'lowered'",
    "starves": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9));"
               "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
}
classes = {name: method(name) for name in MISDEEDS}
globals().update({f"M{name}": made for name, made in classes.items()})

@hookimpl
def ddbench_register_methods(registry):
    for name in MISDEEDS:
        registry.add(MethodInfo(name, "distillation", f"badplugin:M{name}", "badplugin:BadParams", "misbehaves"))
"""


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Runs methods; says where, the exit code, and what was printed."""
    folder = tmp_path_factory.mktemp("isolation")
    file = folder / "badplugin.py"
    file.write_text(PLUGIN + MISBEHAVING)

    def run(*methods, out, more=()):
        named = ("--methods", ",".join(methods), "--plugin", str(file), "--out", f"../{folder.name}/{out}")
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
            patch.chdir(folder)
            with contextlib.redirect_stderr(io.StringIO()) as told:
                code = ddbench("run", *named, *ONE, *more)
        return SimpleNamespace(folder=folder / out, code=code, out=printed.getvalue(), err=told.getvalue())

    return run


@pytest.fixture(scope="module")
def calm(bad):
    """dm alone, in a process of its own."""
    return bad("dm", out="calm", more=("--isolate", "always"))


@pytest.fixture(scope="module")
def together(bad):
    """All that misbehaves and ends, beside dm, which runs in this process."""
    patient = ("exits", "crashes", "leaves", "changes", "raises", "moves", "spoils", "starves", "lowers", "looks")
    return bad(*patient, "dm", out="together")


def records(folder, method):
    return [json.loads(path.read_text()) for path in sorted((folder / "digits" / method).rglob("condense.json"))]


def sets(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("digits/dm/**/condensed.safetensors")
    }


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what a process started is found in /proc")
def test_each_misdeed_is_its_own_row_and_the_others_have_the_numbers_of_a_run_without_them(together, calm):
    assert (calm.code, together.code) == (0, 1)
    named = ("exits", "crashes", "leaves", "changes", "raises", "dm")
    found = {name: records(together.folder, name) for name in named}
    reasons = {name: found[name][-1]["reason"] for name in named}
    assert reasons["exits"] == "its process ended with exit code 3"
    assert reasons["crashes"] == f"its process was killed by signal {int(signal.SIGSEGV)}, 3 times in a row"
    assert re.fullmatch(r"KeyboardInterrupt: mine \(\w+\.py:\d+\)", reasons["raises"])
    assert reasons["leaves"] is None and reasons["changes"] is None and reasons["dm"] is None
    assert found["leaves"][-1]["warnings"] == ["its code left 2 threads running"]
    (text,) = found["changes"][-1]["warnings"]
    for part in ("os.environ (DDBENCH_HOME)", "the working folder", "sys.stdout", "torch's default dtype"):
        assert part in text
    assert sets(together.folder) == sets(calm.folder) != {}
    log = next((together.folder / "digits" / "exits").rglob("log.txt")).read_text()
    assert "last words" in log and "exit code 3" in log
    assert "last words" in together.err
    assert "changes" in together.out and "Traceback" not in together.err
    assert not _runs("54321"), "what it started in a session of its own is ended with it"


def test_a_node_after_one_that_lowered_a_hard_limit_does_not_have_it(together):
    (text,) = records(together.folder, "lowers")[-1]["warnings"]
    assert re.fullmatch(
        r"its code changed limits of resources for the whole process, which (could not be|was) put back", text
    )
    assert records(together.folder, "looks")[-1]["status"] == "ok"


def _runs(word):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"sleep" in arguments and word.encode() in arguments:
            found.append(int(entry.name))
    return found


def test_a_step_that_never_returns_is_cut_short_from_outside_and_the_table_is_printed(bad):
    began = time.monotonic()
    run = bad("hangs", "random", out="hangs", more=("--timeout", "1s"))
    assert run.code == 1
    assert time.monotonic() - began < 120
    found = {(record["status"], record["reason"]) for record in records(run.folder, "hangs")}
    assert found == {
        ("timeout", "stopped by --timeout after 1 s: the node did not stop by itself, its process was ended")
    }
    assert "random" in run.out


def test_in_this_process_and_in_another_one_sets_are_the_same_to_the_bit(bad, calm):
    never = bad("changes", "dm", out="never", more=("--isolate", "never"))
    assert (never.code, calm.code) == (0, 0)
    assert sets(never.folder) == sets(calm.folder) != {}
    assert os.environ.get("DDBENCH_HOME") != "/nowhere"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("moves", None),
        ("spoils", r"its process could not go on: \w+: .*|\w+: .*"),
        ("starves", "its process could not go on: cannot write .*"),
    ],
)
def test_what_code_does_to_its_process_ends_no_run(name, reason, together):
    (found, *_) = records(together.folder, name)
    assert found["status"] == ("ok" if reason is None else "failed") and "dm" in together.out
    assert (found["reason"] is None) == (reason is None) and re.fullmatch(reason or "", found["reason"] or "")
    assert "defect" not in together.err
