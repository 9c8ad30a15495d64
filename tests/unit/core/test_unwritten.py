"""What a plugin's class has not written is told before a run, of a file and of a package, without importing torch."""

from __future__ import annotations

import importlib
import sys

import pytest

from ddbench.core.plugin.unwritten import unwritten
from tests.e2e.runs import SMOKE, ddbench

BEYOND_THE_TEXT = {
    "imported in the class": "class M(Method):\n    from elsewhere import step, finalise, state_dict, load_state_dict\n",
    "set below": "class M(Method):\n    pass\ndef step(self, ctx): ...\nM.step = M.finalise = M.state_dict = step\n",
    "setattr below": "class M(Method):\n    pass\nfor name in ('step', 'finalise'):\n    setattr(M, name, print)\n",
    "exec": "class M(Method):\n    exec('def step(self, ctx): ...')\n",
    "__getattr__": "class M(Method):\n    def __getattr__(self, name): ...\n",
    "another base of that name": "from elsewhere import Whole\nMethod = Whole\nclass M(Method):\n    pass\n",
    "another class of that name": "class M(Method):\n    pass\nfrom elsewhere import M\n",
}

HEAD = """
from ddbench import EvalProtocol, Method, MethodInfo, Selector, hookimpl

"""
WHOLE = """
class Base(Method):
    def step(self, ctx): return {}
    def finalise(self, ctx): ...

class Mine(Base):
    def state_dict(self): return {}
    def load_state_dict(self, state): ...
"""
REST = """
    def state_dict(self): return {}
    def load_state_dict(self, state): ...
    def finalise(self, ctx): ...
"""
STEP = "class Mine (made.py) lacks `step(self, ctx)`, one iteration, which returns its losses as a dict"
CASES = {
    "nothing lacks": (WHOLE, None),
    "no step": (f"class Mine(Method):{REST}", STEP),
    "step is misspelt": (
        f"class Mine(Method):\n    def stpe(self, ctx): return {{}}{REST}",
        f"{STEP}; it has 'stpe', which nothing calls: is 'step' meant?",
    ),
    "several": (
        "class Mine(Method):\n    def step(self, ctx): return {}\n    state_dict = dict",
        "class Mine (made.py) lacks `finalise(self, ctx)`, which returns a CondensedSet; `load_state_dict(self, state)`, "
        "which restores what state_dict returned",
    ),
    "no select": (
        "class Mine(Selector):\n    def selcet(self, ctx): ...",
        "class Mine (made.py) lacks `select(self, ctx)`, which returns a Selection; it has 'selcet', which nothing calls: "
        "is 'select' meant?",
    ),
    "a selector of several steps": ("class Mine(Selector):\n    def step(self, ctx): return {}", None),
    "no fit": (
        "class Mine(EvalProtocol):\n    def train(self): ...",
        "class Mine (made.py) lacks `fit(self, condensed, make_model, seed, artifacts)`, which returns a predictor",
    ),
    "of no class of ddbench": ("class Mine:\n    pass", None),
    "no class": ("def Mine(params): ...", None),
}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Writes ``made.py``."""
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda text: (tmp_path / "made.py").write_text(HEAD + text)
    sys.modules.pop("made", None)


@pytest.mark.parametrize("imported", [False, True], ids=["its text", "its class"])
@pytest.mark.parametrize("case", CASES)
def test_what_a_class_lacks_is_said_with_what_to_write(made, case, imported):
    text, said = CASES[case]
    made(text)
    importlib.invalidate_caches()
    if imported:
        importlib.import_module("made")
    assert unwritten("made:Mine") == said
    assert ("made" in sys.modules) == imported


@pytest.mark.parametrize(
    "text",
    [
        "from elsewhere import Base\nclass Mine(Base): ...",
        "@decorated\nclass Mine(Method): ...",
        "class Mine(",
        "x = 1",
    ],
)
def test_of_what_a_text_does_not_tell_nothing_is_said(made, text):
    made(text)
    assert unwritten("made:Mine") is None


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_run_is_refused_in_a_line_before_anything_is_made(tmp_path, command, capsys):
    file, out = tmp_path / "mine.py", tmp_path / "runs"
    register = """
@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("mine", "distillation", "mine:Mine", "ddbench:DistillationParams", "lacks a step"))
"""
    file.write_text(f"{HEAD}class Mine(Method):{REST}{register}")
    assert ddbench(command, "--plugin", file, "--methods", "mine", "--ipc", "1", *SMOKE, "--out", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"method 'mine' ({file}): target 'mine:Mine': class Mine (mine.py) lacks `step(self, ctx)`" in line
    assert not out.exists()


@pytest.mark.parametrize("body", BEYOND_THE_TEXT.values(), ids=BEYOND_THE_TEXT)
def test_nothing_is_said_of_a_class_whose_functions_its_text_does_not_show(body, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unshown.py").write_text("from ddbench import Method\n" + body)
    importlib.invalidate_caches()
    assert unwritten("unshown:M") is None
