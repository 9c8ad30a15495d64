"""A package of somebody else, with a member for every hook: it takes part in a run, its tables, scores, page and verify."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ddbench.core.plugin.loader import load
from tests.e2e.runs import SMOKE, ddbench

pytest_plugins = ["ddbench.testing.fixtures"]

HOOKS = """
from ddbench import ArchInfo, ArtifactKind, DatasetRecord, MethodInfo, ProtocolInfo, Standing, hookimpl

@hookimpl
def ddbench_register_protocols(registry):
    registry.add(ProtocolInfo("ridge", 1, "ddbench_third.work:Ridge", "ddbench_third.params:RidgeParams",
                              "ridge regression on a network's features, its penalty chosen on val",
                              defaults={"lr": (.01, 10.)}, chooses_lr=True, standing=Standing("hard labels, ridge")))
    registry.add(ProtocolInfo("means", 1, "ddbench_third.work:Means", "ddbench_third.params:MeansParams",
                              "nearest class mean", trains_student=False, students=("pixels",)))

@hookimpl
def ddbench_register_datasets(registry):
    for name, reader in (("moons", "tested"), ("moons-whole", "untested")):
        registry.add(DatasetRecord(name, f"ddbench_third.work:{reader}", "two moons", embedded=True, flip=False))

@hookimpl
def ddbench_register_architectures(registry):
    registry.add(ArchInfo("flat", ("flat1",), "ddbench_third.work:build", "one layer", width=8, norms=("nn",)))

@hookimpl
def ddbench_register_artifacts(registry):
    registry.add(ArtifactKind("density", 1, "ddbench_third.params:DensityParams", "ddbench_third.work:measure", "crowds"))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("crowded", "selection", "ddbench_third.work:Crowded", "ddbench_third.params:CrowdedParams",
                            "images with near neighbours", axes=frozenset({"budget"})))
"""

PARAMS = """
from ddbench import ArtifactSpec, Params, ProtocolParams

class RidgeParams(ProtocolParams):
    pass

class MeansParams(ProtocolParams):
    def artifacts(self, evaluation):
        return {"density": ArtifactSpec(kind="density", data=evaluation.cell.data)}

class DensityParams(Params):
    neighbours: int = 3

class CrowdedParams(Params):
    def artifacts(self, cell):
        return {"density": ArtifactSpec(kind="density", data=cell.data)}
"""

WORK = '''
import numpy as np
import torch
from ddbench import EvalProtocol, RawDataset, Selection, Selector
from torch import nn

def moons(n, seed):
    """Pictures [n, 1, 8, 8] of a spot on one of two interleaved half circles, and which one."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    angle = rng.uniform(0, np.pi, n)
    x = np.where(labels == 0, np.cos(angle), 1 - np.cos(angle)) * 2 + 3
    y = np.where(labels == 0, np.sin(angle), 0.5 - np.sin(angle)) * 2 + 3
    column, row = np.arange(8)[None, None], np.arange(8)[None, :, None]
    light = np.exp(-((column - x[:, None, None]) ** 2 + (row - y[:, None, None]) ** 2))
    return (255 * light).astype(np.uint8)[:, None], labels

def tested(folder):
    (images, labels), (test, test_labels) = moons(120, 0), moons(50, 1)
    return RawDataset(images, labels, ("upper", "lower"), test, test_labels)

def untested(folder):
    return RawDataset(*moons(200, 2), ("upper", "lower"), notes=("drawn from a formula",))

class Flat(nn.Module):
    def __init__(self, inputs, width, classes):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(inputs, width), nn.Tanh()), nn.Linear(width, classes)

    def embed(self, x):
        return self.body(x.flatten(1))

    def forward(self, x):
        return self.head(self.embed(x))

def build(name, *, channels, classes, size):
    return Flat(channels * size**2, name.width, classes)

def measure(ctx, folder, params):
    images = ctx.train.images().flatten(1)
    near = torch.cdist(images, images).topk(params.neighbours + 1, largest=False).values.mean(1)
    np.save(folder / "near.npy", near.numpy())

class Crowded(Selector):
    def select(self, ctx):
        near = torch.from_numpy(np.load(ctx.artifact("density") / "near.npy"))
        members = [ctx.train.of_class(c) for c in range(ctx.dataset.classes)]
        return Selection(torch.cat([m[near[m].argsort(stable=True)[: ctx.ipc]] for m in members]))

def seen(condensed, artifacts):
    real = condensed.images is None
    return (artifacts.train.images(condensed.indices) if real else condensed.images), condensed.labels

class Ridge(EvalProtocol):
    def fit(self, condensed, make_model, seed, artifacts):
        images, labels = seen(condensed, artifacts)
        model = make_model(seed).eval()
        with torch.no_grad():
            X = model.embed(images)
            Y = nn.functional.one_hot(labels, artifacts.dataset.classes).float()
            W = torch.linalg.solve(X.T @ X + artifacts.lr * torch.eye(X.shape[1]), X.T @ Y)
        return lambda batch: (SIGN * model.embed(batch) @ W).detach()

class Means(EvalProtocol):
    def fit(self, condensed, make_model, seed, artifacts):
        assert (artifacts.artifact("density") / "near.npy").is_file()
        images, labels = seen(condensed, artifacts)
        means = torch.stack([images[labels == c].flatten(1).mean(0) for c in range(artifacts.dataset.classes)])
        return lambda batch: -torch.cdist(batch.flatten(1), means)
'''


def package(sign: str = "+1") -> dict[str, str]:
    return {"__init__.py": HOOKS, "params.py": PARAMS, "work.py": WORK.replace("SIGN", sign)}


RUN = (
    *("--methods", "random,dm,crowded", "--datasets", "moons,moons-whole"),
    *("--archs", "flat1", "--eval-archs", "flat1,pixels", "--protocols", "hard,ridge,means"),
    *("--ipc", "1", "--seeds", "2", "--eval-seeds", "1", *SMOKE),
)


def evaluations(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(out.rglob("eval/*.json"))]


def test_a_package_takes_part_in_everything(tmp_path, own_home, fake_distribution, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fake_distribution("ddbench-third", package(), version="0.2")
    assert ddbench("run", *RUN, "--jobs", "2", "--format", "json") == 0
    tables = json.loads(capsys.readouterr().out)
    measured = {
        (table["dataset"], table["protocol"], table["eval_arch"], row["method"])
        for table in tables
        for row in table["rows"]
        if all(cell["status"] == "ok" and cell["n"] == 2 for cell in row["cells"])
    }
    students = {"hard@2": "flat1-w8-nn", "ridge@1": "flat1-w8-nn", "means@1": "pixels"}
    assert measured == {
        (data, protocol, student, method)
        for data in ("moons", "moons-whole")
        for protocol, student in students.items()
        for method in ("full", "random", "dm", "crowded")
    }

    for record in evaluations(tmp_path / "runs"):
        spec, env = record["spec"]["eval"], record["env"]
        foreign = {"hard": {"arch"}, "ridge": {"arch", "protocol"}, "means": {"protocol"}}[spec["protocol"]]
        assert spec["origins"] == dict.fromkeys(foreign, "ddbench-third")
        assert {p for p in ("arch", "protocol") if env.get(p) == "ddbench-third 0.2"} == foreign
        assert ("arch" in env) == (spec["arch"] != "pixels"), "no network of anybody's is in 'pixels'"
        cell = record["spec"]["set"]["cell"]
        assert env["data"] == "ddbench-third 0.2"
        assert env["plugin"].split()[0] == ("ddbench-third" if cell["method"] == "crowded" else "ddbench")
    made = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("condense.json")]
    owner = {record["spec"]["cell"]["method"]: record["env"].get("arch") for record in made}
    third = "ddbench-third 0.2"
    assert owner == {"random": None, "crowded": None, "dm": third}, "None: no network takes part"

    views = ("--views", "main,scores,cost,regime,ranks,stability,failures,lossless")
    assert ddbench("results", "show", *views) == 0
    shown = capsys.readouterr().out
    assert re.search(r"hard labels, DSA \(hard@2\) +\| +hard labels, ridge \(ridge@1\) +\| +means@1 → pixels", shown)
    assert re.search(r"derived scores · moons · flat1-w8-nn → the same · meanstd · ridge@1", shown)
    assert "average ranks · means@1" in shown and "data: drawn from a formula" in shown
    assert re.search(r"means@1 \(smoke: for tests only, (.*, )?no network is trained\) ·", shown)
    assert "crowded: all repetitions share one set, and no student is trained: their results are one" in shown
    assert ddbench("results", "page") == 0
    page = (tmp_path / "page.html").read_text()
    assert all(text in page for text in ("ridge@1", "means@1", "moons-whole", "protocol ddbench-third 0.2"))

    keys = {path.parents[2].name: path.parent.name for path in (tmp_path / "runs" / "moons").rglob("condense.json")}
    capsys.readouterr()
    assert ddbench("results", "verify", keys["crowded"], "--same") == 0
    told = capsys.readouterr().out
    same = re.findall(r"(\w+)@\d .* same$", told, flags=re.MULTILINE)
    assert sorted(same) == ["hard", "hard", "means", "ridge"], told  # repetition −1 chose the learning rate of hard
    assert ddbench("results", "verify", keys["crowded"]) == 0
    assert re.search(r"means@1 pixels .* same$", capsys.readouterr().out, flags=re.MULTILINE), (
        "there is no other student"
    )

    fake_distribution.uninstall("ddbench-third")
    capsys.readouterr()
    assert ddbench("results", "show", *views) == 0
    assert capsys.readouterr().out == shown, "from the records alone, without the package"
    assert ddbench("results", "verify", keys["crowded"]) == 2
    assert "the plugin of method 'crowded' is not here; install it (ddbench-third)" in capsys.readouterr().err
    assert ddbench("results", "verify", keys["dm"]) == 2
    assert re.search(r"the plugin of \w+ '\w+' is not here; install it \(ddbench-third\)", capsys.readouterr().err)
    assert ddbench("results", "verify", keys["dm"], "--files-only") == 0


MEANS = """
from ddbench import EvalProtocol, ProtocolInfo, hookimpl

class Means(EvalProtocol):
    def fit(self, condensed, make_model, seed, artifacts):
        import torch
        images = artifacts.train.images(condensed.indices).flatten(1)
        means = torch.stack([images[condensed.labels == c].mean(0) for c in range(artifacts.dataset.classes)])
        return lambda batch: SIGN * torch.cdist(batch.flatten(1), means)

@hookimpl
def ddbench_register_protocols(registry):
    registry.add(ProtocolInfo("means", 1, "MODULE:Means", "ddbench:ProtocolParams", "x", trains_student=False,
                              students=("pixels",)))
"""


def means(module: str, sign: str) -> str:
    return MEANS.replace("MODULE", module).replace("SIGN", sign)


def test_a_protocol_of_another_distribution_and_the_same_name_returns_nothing_old(
    tmp_path, fresh_home, fake_distribution, monkeypatch, capsys
):
    words = ("run", "--methods", "random", "--protocols", "means", "--ipc", "1", "--seeds", "1", *SMOKE)

    def accuracies(out: str) -> dict[str, float]:
        assert ddbench(*words, "--out", tmp_path / out, "--format", "json") == 0
        (table,) = json.loads(capsys.readouterr().out)
        return {row["method"]: cell["mean"] for row in table["rows"] for cell in row["cells"]}

    fake_distribution("ddbench-near", means("ddbench_near", "-1"))
    near = accuracies("runs")
    fake_distribution.uninstall("ddbench-near")
    fake_distribution("ddbench-far", means("ddbench_far", "+1"))
    far = accuracies("runs")
    assert all(far[method] < near[method] for method in ("full", "random")), "a shared `full` is not reused, either"
    keys = {record["spec"]["eval"]["origins"]["protocol"]: record["key"] for record in evaluations(tmp_path / "runs")}
    assert set(keys) == {"ddbench-near", "ddbench-far"} and len(set(keys.values())) == 2

    fake_distribution("ddbench-near", means("ddbench_near", "-1"))
    with pytest.warns(match=r"ddbench-near 1.0.*'means' is already registered by ddbench-far"):
        assert load().protocols.origin("means").distribution == "ddbench-far"
    assert ddbench("plugin", "list") == 0
    assert re.search(r"^ddbench-near .* failed +.*already registered", capsys.readouterr().out, flags=re.MULTILINE)


def test_a_plugin_is_checked_and_described_by_its_own_name(fresh_home, fake_distribution, capsys):
    fake_distribution(
        "ddbench-flat", {**package(), "__init__.py": HOOKS.replace("ddbench_third", "ddbench_flat")}, entry="house"
    )
    for name in ("house", "ddbench-flat"):
        assert ddbench("plugin", "check", name, "--set", "nothing.here=1") == 2
        assert "checked: crowded, moons, moons-whole, flat, ridge, means, density" in capsys.readouterr().err
    assert ddbench("plugin", "check", "flat1") == 0, "a base of a family is a name of the family"
    assert "flat: all checks passed" in capsys.readouterr().out
    for name, said in (
        ("means", "recipe_of"),
        ("flat1", "one layer"),
        ("density", "neighbours"),
        ("moons", "two moons"),
    ):
        assert ddbench("describe", name) == 0
        shown = capsys.readouterr().out
        assert said in shown and "ddbench-flat 1.0" in shown
    for kind in ("methods", "datasets", "archs", "protocols", "artifacts"):
        assert ddbench("list", kind, "--json") == 0
        assert {row["from"] for row in json.loads(capsys.readouterr().out)} == {"ddbench", "ddbench-flat"}
