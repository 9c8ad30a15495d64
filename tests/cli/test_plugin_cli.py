"""`ddbench plugin list | doctor | check | index`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import ddbench
from ddbench.cli import invoke
from ddbench.cli.plugin.doctor import undeclared
from ddbench.testing import CHECKS, subject
from ddbench.testing.architecture_checks import ARCHITECTURE_CHECKS
from ddbench.work.executors import devices

pytest_plugins = ["ddbench.testing.fixtures"]

ROOT = Path(__file__).parents[2]

SELECTOR = """
from ddbench import MethodInfo, Params, Selection, Selector, hookimpl
from pydantic import Field

class FirstParams(Params):
    skip: int = Field(default=0, ge=0, description="images of each class that come last")

class First(Selector):
    def select(self, ctx):
        import torch
        skip = self.params.skip
        return Selection(torch.cat([ctx.train.of_class(c).roll(-skip)[:n] for c, n in enumerate(ctx.per_class)]))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="first_images", kind="selection", target="peek_cli:First", params="peek_cli:FirstParams",
                            summary="the first images", axes=frozenset({"budget"})))
"""


@pytest.fixture
def plugin_file(tmp_path) -> Path:
    path = tmp_path / "peek_cli.py"
    path.write_text(SELECTOR)
    return path


def said(capsys) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


# ------------------------------------------------------------------------------------------------------------- list


def test_list_shows_what_each_plugin_registered_or_why_not(fake_distribution, capsys):
    fake_distribution("ddbench-broken", "import nowhere_to_be_found", entry="peek", version="0.3")
    assert invoke(["plugin", "list", "--json"]) == 0
    rows = {row["plugin"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["dm"] == {
        "plugin": "dm",
        "from": "ddbench",
        "version": ddbench.__version__,
        "status": "ok",
        "registers": "method dm",
    }
    assert (rows["peek"]["from"], rows["peek"]["version"], rows["peek"]["status"]) == (
        "ddbench-broken",
        "0.3",
        "failed",
    )
    assert "nowhere_to_be_found" in rows["peek"]["registers"]


# ----------------------------------------------------------------------------------------------------------- doctor


def test_doctor_finds_nothing_wrong_here(capsys):
    assert invoke(["plugin", "doctor"]) == 0
    out = capsys.readouterr().out
    assert f"ddbench {ddbench.__version__}" in out
    assert "✗" not in out


@pytest.mark.parametrize(
    ("source", "problem", "advice"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError", "install the missing module"),
        ("", "registers nothing", "@hookimpl"),
        ("raise SystemExit(3)", "SystemExit: 3", "uninstall ddbench-broken"),
        (
            "from ddbench import hookimpl\n@hookimpl\ndef ddbench_register_method(registry): pass",
            "unknown hook",
            "spelling",
        ),
        (
            "from ddbench import hookimpl\n@hookimpl\ndef ddbench_register_methods(reg): pass",
            "reg",
            "called `registry`",
        ),
    ],
)
def test_doctor_says_what_to_do_about_a_broken_plugin(source, problem, advice, fake_distribution, capsys, monkeypatch):
    monkeypatch.setenv("DDBENCH_PLUGINS_STRICT", "1")  # the report shows every failure, strict or not
    fake_distribution("ddbench-broken", source)
    assert invoke(["plugin", "doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("✗"))
    assert "ddbench-broken" in lines[at]
    assert problem in lines[at]
    assert advice in lines[at + 1]
    assert "Traceback" not in "".join(lines)
    assert os.environ["DDBENCH_PLUGINS_STRICT"] == "1"


def test_doctor_finds_targets_and_params_that_do_not_exist(fake_distribution, capsys):
    source = SELECTOR.replace('"peek_cli:First"', '"ddbench_peek.gone:First"').replace("peek_cli", "ddbench_peek")
    fake_distribution("ddbench-peek", {"__init__.py": source})
    assert invoke(["plugin", "doctor"]) == 1
    assert "method first_images: target 'ddbench_peek.gone:First': no module 'ddbench_peek.gone'" in said(capsys)


def checkout(folder: Path, declared: str) -> Path:
    for name in ("dm", "random_subset"):
        package = folder / "plugins" / "ddbench_plugins" / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(f"[project]\nname='x'\n[project.entry-points.ddbench]\n{declared}")
    return folder


def test_doctor_finds_methods_that_are_declared_but_not_installed(tmp_path):
    root = checkout(tmp_path, 'dm = "ddbench_plugins.dm"\nrandom = "ddbench_plugins.random_subset"')
    (finding,) = undeclared(root, {"ddbench_plugins.dm"})
    assert "ddbench_plugins.random_subset is declared" in finding.text
    assert "pip install -e ." in finding.advice


def test_doctor_finds_methods_that_are_not_declared(tmp_path):
    (finding,) = undeclared(checkout(tmp_path, 'dm = "ddbench_plugins.dm"'), {"ddbench_plugins.dm"})
    assert 'add `random_subset = "ddbench_plugins.random_subset"`' in finding.advice


def test_doctor_has_nothing_to_compare_in_an_installed_package():
    assert not list(undeclared(None, set()))


# ------------------------------------------------------------------------------------------------------------ check


def test_check_passes_a_sound_file(plugin_file, capsys):
    assert invoke(["plugin", "check", str(plugin_file)]) == 0
    out = capsys.readouterr().out
    assert "✓ runs_are_deterministic: Two runs of a cell" in out
    assert "first_images: all checks passed" in out
    assert "✗" not in out


def test_check_fails_a_broken_file_with_the_reason(plugin_file, capsys):
    plugin_file.write_text(SELECTOR.replace("        skip = self", "        torch.rand(1)\n        skip = self"))
    assert invoke(["plugin", "check", str(plugin_file)]) == 1
    out = capsys.readouterr().out
    assert "✗ global_randomness_is_untouched: step 1 uses the global generator of torch" in out
    assert f"1 of {len(CHECKS)} checks failed" in out


def test_a_reason_that_breaks_many_checks_is_said_once(tmp_path, capsys):
    path = tmp_path / "nonet_cli.py"
    path.write_text(
        """
from ddbench import ArchInfo, hookimpl

def build(name, *, channels, classes, size):
    return None

@hookimpl
def ddbench_register_architectures(registry):
    registry.add(ArchInfo("nonet", ("nonet",), "nonet_cli:build", "no network"))
"""
    )
    assert invoke(["plugin", "check", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.count("nonet_cli:build returns a NoneType, no torch.nn.Module") == 1
    assert "✗ and 6 more checks for the same reason as logits_have_a_column_for_each_class\n" in out
    assert f"7 of {len(ARCHITECTURE_CHECKS)} checks failed" in out


def test_check_takes_fast_params(plugin_file, capsys):
    assert invoke(["plugin", "check", str(plugin_file), "--set", "first_images.skip=2"]) == 0
    assert "first_images on digits, skip=2" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["herdin"], "unknown member or plugin 'herdin'; did you mean herding or"),
        (["gone.py"], "no such file"),
        (["FILE", "--set", "first_images.skp=2"], "unknown parameter 'skp'; did you mean skip?"),
        (["FILE", "--set", "dm.iterations=2"], "'dm' is not checked here (checked: first_images)"),
        (["convnet", "--device", "cuda"], "only methods are checked there, not architecture convnet"),
    ],
)
def test_check_answers_wrong_arguments_at_once(arguments, message, plugin_file, capsys):
    assert invoke(["plugin", "check", *[str(plugin_file) if a == "FILE" else a for a in arguments]]) == 2
    assert message in said(capsys)


def test_check_runs_a_method_on_the_device_that_is_asked_for(plugin_file, monkeypatch, capsys, tmp_path):
    (tmp_path / "dxg").touch()
    monkeypatch.setattr(devices, "FILES", tmp_path)
    asked, opened = set(), subject.open_context
    monkeypatch.setattr(
        subject, "open_context", lambda *args, device, **rest: asked.add(device) or opened(*args, device="cpu", **rest)
    )
    assert invoke(["plugin", "check", str(plugin_file), "--device", "cuda:1"]) == 0
    assert asked == {"cuda:1"}


def test_check_names_the_error_of_a_plugin_that_did_not_load(fake_distribution, capsys):
    fake_distribution("ddbench-broken", "import nowhere_to_be_found", entry="peek")
    assert invoke(["plugin", "check", "peek"]) == 2
    assert "nowhere_to_be_found" in said(capsys)


# ------------------------------------------------------------------------------------------------------------ index


def test_the_committed_index_is_current(tmp_path):
    committed = ROOT / "plugins" / "README.md"
    renewed = Path(shutil.copy(committed, tmp_path))
    assert invoke(["plugin", "index", "--write", str(renewed)]) == 0
    message = "run `ddbench plugin index --write plugins/README.md`"
    assert renewed.read_text() == committed.read_text(), message


def test_index_lists_first_party_methods_only(fake_distribution, capsys):
    source = SELECTOR.replace("peek_cli", "ddbench_peek")
    fake_distribution("ddbench-peek", source)
    assert invoke(["plugin", "index"]) == 0
    out = capsys.readouterr().out
    assert "herding" in out
    assert "first_images" not in out


def test_index_needs_its_markers(tmp_path, capsys):
    (tmp_path / "x.md").write_text("text")
    assert invoke(["plugin", "index", "--write", str(tmp_path / "x.md")]) == 2
    assert "<!-- ddbench:methods -->" in said(capsys)
    assert invoke(["plugin", "index", "--write", str(tmp_path / "gone.md")]) == 2
