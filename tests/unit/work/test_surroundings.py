"""What vanishes while a node runs stops the run, and is nobody's result."""

from __future__ import annotations

import shutil

import pytest

from ddbench.core.store.files import home
from tests.e2e.runs import ddbench, once

PLUGIN = '''
import os, shutil, torch
from ddbench import CondensedSet, DistillationParams, Method, MethodInfo, hookimpl

class P(DistillationParams):
    iterations: int = 2

class Unlucky(Method[P]):
    """Something outside removes a folder while it runs, and then it fails as anything would."""
    def prepare(self, ctx):
        self.labels = torch.arange(ctx.dataset.classes).repeat_interleave(ctx.ipc)
        self.images = torch.zeros(len(self.labels), *ctx.train.images(torch.tensor([0])).shape[1:])
    def step(self, ctx):
        shutil.rmtree(os.path.join(os.environ["DDBENCH_HOME"], "{gone}"), ignore_errors=True)
        raise RuntimeError("no such thing")
    def finalise(self, ctx):
        return CondensedSet.of_images(self.images, self.labels, ctx.train.preprocess)
    def state_dict(self):
        return {{}}
    def load_state_dict(self, state):
        pass

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="unlucky", kind="distillation", target="unlucky:Unlucky", params="unlucky:P", summary="x"))
'''
RUN = once("unlucky")


@pytest.mark.parametrize(("gone", "code"), [("data/digits", 1), ("", 1), ("nothing", 1)])
def test_data_or_a_home_that_vanishes_stops_the_run_and_leaves_no_failure(tmp_path, fresh_home, capsys, gone, code):
    plugin = tmp_path / "unlucky.py"
    plugin.write_text(PLUGIN.format(gone=gone))
    assert ddbench("run", *RUN, "--plugin", plugin, "--out", tmp_path / "r") == code
    made = list((tmp_path / "r").rglob("unlucky/*/*/condense.json"))
    if gone == "nothing":  # then it is a failure of the method's own
        assert made
    else:
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert "is gone while a node ran" in said and "run the same command again" in said
        assert not made
        shutil.rmtree(home(), ignore_errors=True)
