"""Commands that compute nothing import no torch, so that they answer at once. No clock is read here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.runs import ddbench

pytest_plugins = ["ddbench.testing.fixtures"]

HEAVY = ("torch", "torchvision", "sklearn", "scipy", "pandas", "matplotlib", "plotly")

PROBE = f"""
import json, sys
from ddbench.cli import invoke
seen, told = set(), []
for words in json.loads(sys.argv[1]):
    code, loaded = invoke(words), {{name for name in {HEAVY!r} if name in sys.modules}}
    told.append([code, sorted(loaded - seen)])
    seen |= loaded
print(json.dumps(told), file=sys.stderr)
"""


def heavy_imports(cwd, *commands: list[str]) -> list[set[str]]:
    """What of HEAVY each of these command lines is the first to import, in one new process; all must succeed."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stderr.strip().splitlines()[-1])
    assert [code for code, _ in told] == [0] * len(commands), run.stderr
    return [set(found) for _, found in told]


@pytest.fixture(scope="module", autouse=True)
def _digits_are_prepared():
    """Decoding the images of digits needs scikit-learn, once."""
    from ddbench.core.plugin.loader import installed
    from ddbench.data.prepared.prepare import resolve
    from ddbench.data.prepared.sources import parse_source

    resolve(parse_source("digits", installed().datasets))


LIGHT = (
    "--help",
    "--version",
    "run --help",
    "evaluate --help",
    "import --help",
    "export --help",
    "list methods",
    "list datasets",
    "list archs",
    "list protocols",
    "list artifacts",
    "describe dm",
    "plugin list",
    "plugin doctor",
    "plugin index",
    "plot --help",
    "plan --methods dm,kmeans --ipc 1,10",
    "run --dry-run --methods dm,herding --fraction 0.1 --protocols hard,native",
)


def test_commands_that_compute_nothing_import_no_torch(tmp_path):
    found = heavy_imports(tmp_path, *(command.split() for command in LIGHT))
    unwanted = {"torch", "torchvision", "sklearn", "matplotlib", "plotly"}
    assert {command: names & unwanted for command, names in zip(LIGHT, found, strict=True) if names & unwanted} == {}


ONE = ("--ipc", "1", "--profile", "smoke", "--threads", "1", "--seeds", "1", "--protocols", "hard-fixed")


@pytest.fixture
def computed(tmp_path, monkeypatch):
    """Runs a command line here, in the folder in which others are looked at then."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert ddbench(*words) == 0

    return run


def test_a_fully_cached_run_imports_no_torch(tmp_path, computed):
    command = ["run", "--methods", "random", *ONE]
    (first,) = heavy_imports(tmp_path, command)
    assert "torch" in first
    views = [*command, "--views", "main,scores,cost,regime,ranks,stability"]
    assert not any("torch" in found for found in heavy_imports(tmp_path, command, views))


def test_what_reads_stored_results_imports_no_torch(tmp_path, computed):
    computed("run", "--methods", "random", *ONE, "--reference-limit", "0")
    for measure in (["quartiles", "--threads", "1"], ["quantise"], ["full-stopped"]):
        computed("results", *measure)
    again = (["quartiles"], ["quantise"], ["full-stopped"], ["export", "--all", "--to", "all.jsonl"])
    assert not any("torch" in found for found in heavy_imports(tmp_path, *(["results", *words] for words in again)))


def test_pictures_of_real_and_of_made_images_are_drawn_without_torch(tmp_path, computed):
    computed("run", "--methods", "random,dm", *ONE, "--reference-limit", "0")
    made = next((tmp_path / "runs" / "digits" / "dm" / "ipc1").iterdir()).name
    commands = ["results", "page", "--to", "page.html"], ["show", made]
    assert not any("torch" in found for found in heavy_imports(tmp_path, *commands))
    assert (tmp_path / "page.html").read_text().count('<img src="data:image/png') >= 2


def test_importing_ddbench_and_its_public_names_for_records_imports_no_torch(tmp_path):
    code = "import sys; from ddbench import Params, MethodInfo, Method, hookimpl; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=120).returncode == 0


def test_planning_a_third_party_method_imports_its_params_alone(fake_distribution, tmp_path):
    init = """
from ddbench import MethodInfo, hookimpl

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="peek", kind="selection", target="ddbench_peek.method:Peek",
                            params="ddbench_peek.params:PeekParams", summary="…"))
"""
    params = "from ddbench import Params\nclass PeekParams(Params): pass"
    fake_distribution("ddbench-peek", {"__init__.py": init, "params.py": params, "method.py": "import torch"})
    (found,) = heavy_imports(tmp_path, ["plan", "--methods", "peek", "--ipc", "1"])
    assert "torch" not in found
