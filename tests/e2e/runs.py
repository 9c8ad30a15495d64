"""Running `ddbench` in tests: in this process, or in one that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ddbench.cli import invoke
from ddbench.work.continuation import FINAL

SMOKE = ("--profile", "smoke", "--progress", "plain", "--threads", "1", "--isolate", "never")


def once(method: str) -> tuple[str, ...]:
    """Words of a run of one method at ipc 1, once, with students of one learning rate."""
    what = ("--methods", method, "--ipc", "1", "--seeds", "1", "--protocols", "hard-fixed")
    return (*what, "--reference-limit", "0s", *SMOKE)


PLUGIN = '''
import os, time
from ddbench import CondensedSet, DistillationParams, Method, MethodInfo, hookimpl

class MeanParams(DistillationParams):
    continues = True
    iterations: int = 6
    pause_s: float = 0.0
    trouble: str = ""
    at: int = 3

class Mean(Method[MeanParams]):
    """Moves random images towards a noisy mean of their class; does what `trouble` says at step `at`.

    $MEAN_SIGNAL is a number and a step, 9@3: a signal to its process then, which is no part of any key.
    """

    def prepare(self, ctx):
        import torch
        if self.params.trouble == "prepare":
            raise RuntimeError("broken in prepare")
        self.labels = torch.arange(ctx.dataset.classes).repeat_interleave(ctx.ipc)
        self.images = torch.randn(len(self.labels), *ctx.train.images(torch.tensor([0])).shape[1:], generator=ctx.generator)

    def step(self, ctx):
        import torch
        time.sleep(self.params.pause_s)
        number, _, step = os.environ.get("MEAN_SIGNAL", "").partition("@")
        if step == str(ctx.step):
            os.kill(os.getpid(), int(number))
        if ctx.step == self.params.at and self.params.trouble:
            if self.params.trouble == "exit":
                raise SystemExit(3)
            if self.params.trouble == "step":
                raise ValueError("broken in step")
            if self.params.trouble == "oom":
                raise MemoryError
            if self.params.trouble == "nan":
                return {"loss": float("nan")}
        noise = torch.randn(self.images.shape, generator=ctx.generator)
        means = torch.stack([ctx.train.images(ctx.train.of_class(int(c))).mean(0) for c in self.labels])
        self.images = 0.5 * self.images + 0.5 * means + 0.1 * noise
        return {"loss": float(self.images.square().mean())}

    def finalise(self, ctx):
        return CondensedSet.of_images(self.images, self.labels, ctx.train.preprocess)

    def state_dict(self):
        return {"images": self.images}

    def load_state_dict(self, state):
        self.images = state["images"]

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="mean", kind="distillation", target="meanplugin:Mean", params="meanplugin:MeanParams",
                            summary="for tests"))
'''


def placed(reason: str, code: str) -> str:
    """A reason with the place of a line of the test method, the first that has `code`."""
    return f"{reason} (meanplugin.py:{PLUGIN[: PLUGIN.index(code)].count(chr(10)) + 1})"


def plugin(folder: Path) -> Path:
    """The test method ``mean`` as a one-file plugin."""
    path = folder / "meanplugin.py"
    path.write_text(PLUGIN)
    return path


def ddbench(*arguments: object) -> int:
    """Run a command line here; returns its exit code."""
    return invoke([str(argument) for argument in arguments])


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start a command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ddbench", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DDBENCH_CHECKPOINT_S": "0", **environment},
    )  # fmt: skip


def contents(out: Path) -> dict[str, bytes]:
    """What a run computed: condensed sets and predictions, by path; not the last states, which hold seconds as well."""
    paths = [path for path in sorted(out.rglob("*.safetensors")) if path.name != FINAL]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def evaluations(out: Path) -> dict[Path, dict[str, Any]]:
    """The records of the evaluations that stand in tables, by path."""
    found = {path: json.loads(path.read_text()) for path in sorted(out.rglob("eval/*.json"))}
    return {path: record for path, record in found.items() if record["spec"]["eval"]["r"] >= 0}


def folders(out: Path, method: str) -> list[Path]:
    """The folders of a method's sets of digits that stand in tables."""
    found = (out / "digits" / method).rglob("condense.json")
    return sorted(path.parent for path in found if json.loads(path.read_text())["spec"]["cell"]["r"] >= 0)
