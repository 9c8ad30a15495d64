"""Commands that compute nothing import no torch, so that they answer at once. No clock is read here."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["ddbench.testing.fixtures"]

HEAVY = ("torch", "torchvision", "sklearn", "scipy", "pandas", "matplotlib", "plotly")

PROBE = f"""
import sys
from ddbench.cli import invoke
code = invoke(sys.argv[1:])
print("exit", code, "heavy", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def heavy_imports(arguments: list[str], cwd) -> set[str]:
    """What of HEAVY a command line imports; the command must succeed."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    words = run.stderr.strip().splitlines()[-1].split()
    assert words[:3] == ["exit", "0", "heavy"], run.stderr
    return set(words[3:])


@pytest.fixture(scope="module", autouse=True)
def _digits_are_prepared():
    """Decoding the images of digits needs scikit-learn, once."""
    from ddbench.core.plugin.loader import installed
    from ddbench.data.prepared.prepare import resolve
    from ddbench.data.prepared.sources import parse_source

    resolve(parse_source("digits", installed().datasets))


@pytest.mark.parametrize(
    "command",
    [
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
    ],
)
def test_a_command_that_computes_nothing_imports_no_torch(command, tmp_path):
    found = heavy_imports(command.split(), tmp_path)
    assert "torch" not in found
    assert not found & {"torchvision", "sklearn", "matplotlib", "plotly"}


def test_a_fully_cached_run_imports_no_torch(tmp_path):
    command = ["run", "--methods", "random", "--ipc", "1", "--profile", "smoke", "--threads", "1", "--seeds", "1"]
    assert "torch" in heavy_imports(command, tmp_path)
    assert "torch" not in heavy_imports(command, tmp_path)
    assert "torch" not in heavy_imports([*command, "--views", "main,scores,cost,regime,ranks,stability"], tmp_path)


def test_what_reads_stored_results_imports_no_torch(tmp_path):
    command = ["run", "--methods", "random", "--ipc", "1", "--profile", "smoke", "--threads", "1", "--seeds", "1"]
    heavy_imports([*command, "--reference-limit", "0"], tmp_path)
    heavy_imports(["results", "quartiles", "--threads", "1"], tmp_path)
    heavy_imports(["results", "quantise"], tmp_path)
    heavy_imports(["results", "full-stopped"], tmp_path)
    for again in (["quartiles"], ["quantise"], ["full-stopped"], ["export", "--all", "--to", "all.jsonl"]):
        assert "torch" not in heavy_imports(["results", *again], tmp_path)


def test_pictures_of_real_and_of_made_images_are_drawn_without_torch(tmp_path):
    command = ["run", "--methods", "random,dm", "--ipc", "1", "--profile", "smoke", "--threads", "1", "--seeds", "1"]
    heavy_imports([*command, "--reference-limit", "0"], tmp_path)
    assert "torch" not in heavy_imports(["results", "page", "--to", "page.html"], tmp_path)
    assert (tmp_path / "page.html").read_text().count('<img src="data:image/png') >= 2
    made = next((tmp_path / "runs" / "digits" / "dm" / "ipc1").iterdir()).name
    assert "torch" not in heavy_imports(["show", made], tmp_path)


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
    assert "torch" not in heavy_imports(["plan", "--methods", "peek", "--ipc", "1"], tmp_path)
