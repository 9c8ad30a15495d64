"""What a plugin does wrong is its own cell's failure, wherever it does it, and never the run's."""

from __future__ import annotations

import json

import pytest

from tests.e2e.runs import SMOKE, ddbench

BASE = ("--reference-limit", "0s", "--seeds", "1", "--ipc", "1", *SMOKE)

PLUGIN = """
from ddbench import ArtifactSpec, CondensedSet, MethodInfo, Params, Recipe, Selection, Selector, hookimpl

class OddParams(Params):
    def unsupported(self, cell, data):
        {unsupported}

    def artifacts(self, cell):
        {artifacts}

class Odd(Selector):
    def select(self, ctx):
        import torch
        {select}
        return Selection(torch.cat([ctx.train.of_class(c)[:n] for c, n in enumerate(ctx.per_class)]))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("odd", "selection", "oddplugin:Odd", {params!r}, "misbehaves"))
"""


def run(tmp_path, *more, params="oddplugin:OddParams", text=PLUGIN, **code):
    body = {"unsupported": "return None", "artifacts": "return {}", "select": "pass", **code}
    (tmp_path / "oddplugin.py").write_text(text.format(params=params, **body))
    return ddbench(
        "run",
        "--methods",
        "odd,random",
        "--plugin",
        tmp_path / "oddplugin.py",
        "--out",
        tmp_path / "runs",
        *BASE,
        *more,
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ({"unsupported": "raise ZeroDivisionError('boom')"}, "ZeroDivisionError: boom"),
        ({"unsupported": "return 5"}, "Params.unsupported returned 5"),
        ({"artifacts": "raise SystemExit(7)"}, "SystemExit: 7"),
        ({"artifacts": "return {'x': 5}"}, "gives 'x' no ArtifactSpec"),
        ({"artifacts": "raise KeyboardInterrupt"}, "its code raised KeyboardInterrupt while planning"),
        ({"unsupported": "import os; os._exit(0)"}, "its code called os._exit(0) while planning"),
        ({"select": "raise GeneratorExit('odd')"}, "GeneratorExit: odd"),
        ({"select": "return ctx.train.of_class(0)"}, "Odd.select returned a Tensor, not a Selection"),
    ],
)
def test_the_rest_of_the_run_goes_on(tmp_path, capsys, code, reason):
    assert run(tmp_path, **code) == 1
    told = capsys.readouterr()
    assert reason in told.out
    assert "Traceback" not in told.err
    evaluated = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("random/**/eval/*.json")]
    assert sorted(record["spec"]["eval"]["r"] for record in evaluated) == [-1, 0]


PARAMS = """
from pydantic import Field, field_serializer, field_validator
from ddbench.core.errors import UsageError

class MuteError(ValueError):
    def __str__(self):
        raise RuntimeError("no words")

def code(x):
    {code}
    return x

class OddParams(Params):
    {member}
"""
MEMBERS = {
    "validator": 'x: int = 1\n    check = field_validator("x")(lambda x: code(x))',
    "default": "x: int = Field(default_factory=lambda: code(1))",
    "serialiser": 'x: int = 1\n    write = field_serializer("x")(lambda self, x: code(x))',
    "images_seen": "def images_seen(self, n): return code(n)",
}
"""What of a params class is asked while a run is planned, besides what the rows above ask."""


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(0)", "its code called os._exit(0) while planning"),
        ("import os; os.kill(os.getpid(), 9)", "its code called os.kill("),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise OSError(28, 'mine')", "OSError: [Errno 28] mine"),
        ("raise MuteError", "Error: "),
        ("raise UsageError('ours')", "UsageError: ours"),
    ],
)
def test_what_the_code_of_params_does_is_their_plugins(tmp_path, capsys, code, reason, member):
    own = PARAMS.format(code=code, member=MEMBERS[member])
    asked = ("--set", "odd.x=2") if member == "validator" else ()
    assert run(tmp_path, *asked, text=PLUGIN.replace("\nclass OddParams(Params):", own)) == 2
    told = capsys.readouterr().err
    assert told.startswith("ddbench: method 'odd': ") and told.count("\n") == 1
    assert reason in told and "(oddplugin.py:" in told
    assert not list((tmp_path / "runs").rglob("*.json"))


@pytest.mark.parametrize("member", ["steps", "own_student", "centred_labels", "recipe_learns_centred"])
def test_what_a_fact_of_params_raises_is_its_cells_failure(tmp_path, capsys, member):
    own = PARAMS.format(code="raise SystemExit(3)", member=f"{member} = property(code)")
    assert run(tmp_path, text=PLUGIN.replace("\nclass OddParams(Params):", own)) == 1
    told = capsys.readouterr()
    assert "SystemExit: 3 (oddplugin.py:" in told.out and "Traceback" not in told.err


def test_validators_of_an_artifact_kinds_params_are_its_plugins(tmp_path, capsys):
    own = kind().replace("    shift: float = 0.0", "    shift: float = Field(default_factory=lambda: code(1))")
    head = PARAMS.format(code="raise SystemExit(3)", member="pass").partition("class OddParams")[0]
    text = head + PLUGIN.replace("import ArtifactSpec", "import ArtifactKind, ArtifactSpec") + own
    asks = "return {'m': ArtifactSpec(kind='medians', data=cell.data)}"
    assert run(tmp_path, artifacts=asks, text=text) == 2
    told = capsys.readouterr().err
    assert "artifact kind 'medians' (" in told and "SystemExit: 3 (oddplugin.py:" in told


def test_params_of_another_kind_are_refused(tmp_path, capsys):
    assert run(tmp_path, params="os:path") == 2
    assert "os:path is not a subclass of ddbench.Params" in capsys.readouterr().err


KIND = """
class MediansParams(Params):
    shift: float = 0.0

def build(ctx, folder, params):
    (folder / "nothing").write_text("")

@hookimpl
def ddbench_register_artifacts(registry):
    registry.add(ArtifactKind("medians", 1, {params!r}, {build!r}, "for tests"))
"""


def kind(**targets):
    return KIND.format(**{"params": "oddplugin:MediansParams", "build": "oddplugin:build", **targets})


@pytest.mark.parametrize(
    ("targets", "asked", "message"),
    [
        ({"params": "oddplugin:Odd"}, "{}", "params 'oddplugin:Odd' is not a subclass of ddbench.Params"),
        ({"params": "oddplugin:MedianParams"}, "{}", "params: module 'oddplugin' has no 'MedianParams'"),
        ({"build": "oddplugin:bild"}, "{}", "build 'oddplugin:bild': its module has no 'bild'"),
        ({"build": "odplugin:build"}, "{}", "build 'odplugin:build': no module 'odplugin'"),
        ({}, "{'shfit': 1}", "asks for unknown parameter 'shfit'; did you mean shift?"),
        ({}, "{'shift': 'far'}", "asks for parameter shift: Input should be a valid number"),
    ],
)
def test_an_artifact_kind_that_cannot_be_built_is_refused_before_anything_runs(
    tmp_path, capsys, targets, asked, message
):
    text = PLUGIN.replace("import ArtifactSpec", "import ArtifactKind, ArtifactSpec") + kind(**targets)
    asks = f"return {{'m': ArtifactSpec(kind='medians', data=cell.data, params={asked})}}"
    assert run(tmp_path, artifacts=asks, text=text) == 2
    told = capsys.readouterr().err
    assert f"artifact kind 'medians' ({tmp_path / 'oddplugin.py'}): " in told
    assert message in told
    assert ("method 'odd' (" in told) == (not targets)
    assert not list((tmp_path / "runs").rglob("*.json"))


def test_a_method_whose_class_is_not_there_is_refused_before_anything_runs(tmp_path, capsys):
    assert run(tmp_path, text=PLUGIN.replace('"oddplugin:Odd"', '"oddplugin:Od"')) == 2
    told = capsys.readouterr().err
    assert f"method 'odd' ({tmp_path / 'oddplugin.py'}): target 'oddplugin:Od': its module has no 'Od'" in told
    assert not list((tmp_path / "runs").rglob("*.json"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(0)", "its code called os._exit(0) while loading"),
        ("raise KeyboardInterrupt", "its code raised KeyboardInterrupt while loading"),
        (
            "import signal; signal.alarm(1); signal.pause()",
            "its code set an alarm of its own, which rang while loading",
        ),
    ],
)
def test_a_plugin_that_ends_while_it_is_loaded_is_named(tmp_path, capsys, code, message):
    assert run(tmp_path, text=f"{code}\n{PLUGIN}") == 2
    assert capsys.readouterr().err == f"ddbench: --plugin {tmp_path / 'oddplugin.py'}: {message} (oddplugin.py:1)\n"


def test_what_a_plugin_prints_does_not_reach_the_table(tmp_path, capsys):
    assert run(tmp_path, "--format", "json", select="print('NOISE')") == 0
    told = capsys.readouterr()
    assert "NOISE" in told.err
    json.loads(told.out)


def test_a_one_file_plugin_may_bring_an_architecture(tmp_path, capsys):
    (tmp_path / "linplugin.py").write_text(
        """
from ddbench import ArchInfo, hookimpl

def build(name, *, channels, classes, size):
    from torch import nn

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(channels * size * size, classes)

        def embed(self, x):
            return x.flatten(1)

        def forward(self, x):
            return self.head(self.embed(x))

    return Linear()

@hookimpl
def ddbench_register_architectures(registry):
    registry.add(ArchInfo(name="lin", bases=("lin",), target="linplugin:build", summary="one layer", norms=("nn",)))
"""
    )
    arguments = ("run", "--methods", "random", "--archs", "lin", "--plugin", tmp_path / "linplugin.py")
    assert ddbench(*arguments, "--out", tmp_path / "runs", *BASE) == 0
    assert "lin-w128-nn" in capsys.readouterr().out


def test_a_method_module_that_exits_when_imported_fails_its_own_cell(tmp_path, capsys, monkeypatch):
    (tmp_path / "leaves.py").write_text("raise SystemExit(9)\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "oddplugin.py"
    body = {"unsupported": "return None", "artifacts": "return {}", "select": "pass"}
    text = PLUGIN.format(params="oddplugin:OddParams", **body)
    path.write_text(text.replace('"oddplugin:Odd"', '"leaves:Odd"'))
    code = ddbench("run", "--methods", "odd,random", "--plugin", path, "--out", tmp_path / "runs", *BASE)
    shown = capsys.readouterr()
    assert code == 1
    assert "random" in shown.out and "9" in shown.err
