"""One-file plugins in worker processes: parts in other files, and edits while a run goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from ddbench.core.plugin.loader import load
from tests.e2e.runs import PLUGIN, SMOKE, ddbench, start

PARTS = {
    "partsplugin.py": """
from ddbench import MethodInfo, hookimpl

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("nth", "selection", "nth_parts.method:Nth", "nth_params:NthParams", "the nth image"))
""",
    "nth_params.py": "from ddbench import Params\n\nclass NthParams(Params):\n    pass\n",
    "nth_parts/__init__.py": "",
    "nth_parts/method.py": """
from ddbench import Selection, Selector

class Nth(Selector):
    def select(self, ctx):
        import torch
        from .deep import NTH  # not before it runs
        return Selection(torch.cat([ctx.train.of_class(c)[NTH : NTH + n] for c, n in enumerate(ctx.per_class)]))
""",
    "nth_parts/deep.py": "NTH = 0\n",
}


ONE_WORKER = ("--seeds", "1", "--protocols", "hard-fixed", "--executor", "processes", "--reference-limit", "0s")


def test_parts_in_other_files_run_in_a_worker_and_count(tmp_path, own_home, capsys):
    for name, text in PARTS.items():
        path = tmp_path / "plugin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    file = tmp_path / "plugin" / "partsplugin.py"
    words = ("run", "--plugin", file, "--methods", "nth", "--ipc", "1", *ONE_WORKER, *SMOKE)

    def chosen() -> dict[str, list[str]]:
        assert ddbench(*words, "--out", tmp_path / "runs") == 0, capsys.readouterr().err
        made = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("nth/**/condense.json")]
        return {record["spec"]["cell"]["origin"]: record["set_sha256"] for record in made}

    before = chosen()
    (tmp_path / "plugin" / "nth_parts" / "deep.py").write_text("NTH = 1\n")
    after = chosen()
    assert len(after) == 2 and len(set(after.values())) == 2
    assert before.items() <= after.items()


GATED = f"""{PLUGIN.replace("time.sleep(self.params.pause_s)", "wait()")}
from pathlib import Path
Path(__file__).with_name(f'loaded-{{os.getpid()}}').touch()

def wait():
    while not Path(__file__).with_name("edited").exists():
        time.sleep(0.02)
"""
"""A step ends when the file ``edited`` is there, and who loads it leaves a file, too."""


def wait_for(condition, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("lost", [False, True], ids=["worker stays", "worker is lost"])
def test_an_edit_while_a_run_goes_on_changes_nothing_of_it(lost, tmp_path, own_home):
    file, out = tmp_path / "meanplugin.py", tmp_path / "runs"
    file.write_text(GATED)
    planned = load([file]).methods.origin("mean").key
    (tmp_path / f"loaded-{os.getpid()}").unlink()
    words = ("run", "--plugin", file, "--methods", "mean", "--ipc", "1,2", *ONE_WORKER, *SMOKE, "--out", out)
    run = start(*words)

    def workers() -> list[int]:
        found = [int(path.name.partition("-")[2]) for path in tmp_path.glob("loaded-*")]
        return [pid for pid in found if pid != run.pid]

    wait_for(lambda: len(workers()) == 1 and list(out.rglob("mean/**/spec.json")))
    file.write_text(GATED.replace("0.1 * noise", "9.9 * noise"))
    if lost:
        os.kill(workers()[0], signal.SIGKILL)
    (tmp_path / "edited").touch()
    shown, told = run.communicate(timeout=120)
    assert run.returncode == (1 if lost else 0), told
    refused = "the plugin of method 'mean' is another one than this was planned with"
    assert (refused in shown + told) == lost
    made = [json.loads(path.read_text()) for path in out.rglob("mean/**/condense.json")]
    assert all(record["spec"]["cell"]["origin"] == planned for record in made)
    assert all(record["env"]["plugin"] == planned and record["status"] == "ok" for record in made)
    assert len(made) < 2 if lost else len(made) == 2
    if lost:  # the same command plans anew
        assert ddbench(*words, "--executor", "local") == 0
        origins = [
            json.loads(Path(path).read_text())["spec"]["cell"]["origin"] for path in out.rglob("mean/**/condense.json")
        ]
        assert sum(origin != planned for origin in origins) == 2
