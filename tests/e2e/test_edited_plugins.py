"""A plugin that was edited never returns an old result: what is printed is what a fresh folder prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddbench.core.errors import DataError, PluginError
from ddbench.core.plugin.loader import load
from ddbench.core.profiles import profile
from ddbench.core.store.folder import Store
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import Source, parse_source
from ddbench.plan import grid, planner, suite
from ddbench.work.engine import Engine
from ddbench.work.evaluate.stage import Evaluation
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from ddbench.work.node import run_node
from tests.e2e.runs import SMOKE, ddbench

pytest_plugins = ["ddbench.testing.fixtures"]

PROTOCOL = """
from ddbench import EvalProtocol, ProtocolInfo, ProtocolParams, hookimpl

class NCMParams(ProtocolParams):
    pass

class NCM(EvalProtocol):
    def fit(self, condensed, make_model, seed, artifacts):
        import torch
        images = artifacts.train.images(condensed.indices) if condensed.images is None else condensed.images
        labels = condensed.labels
        K = artifacts.dataset.classes
        means = torch.stack([images[labels == c].flatten(1).mean(0) for c in range(K)])
        return lambda x: SIGN * -torch.cdist(x.flatten(1), means)

@hookimpl
def ddbench_register_protocols(registry):
    registry.add(ProtocolInfo(name="ncm", version=1, target="ncm:NCM", params="ncm:NCMParams", summary="nearest mean"))
"""

ARCH = """
from ddbench import ArchInfo, hookimpl

def build(name, *, channels, classes, size):
    import torch
    from torch import nn

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(channels * size**2, classes)

        def embed(self, x):
            return x.flatten(1)

        def forward(self, x):
            return max(0, SIGN) * self.layer(self.embed(x))

    return Linear()

@hookimpl
def ddbench_register_architectures(registry):
    registry.add(ArchInfo(name="flat", bases=("flat",), target="flatnet:build", summary="linear", width=1, norms=("nn",)))
"""

ARTIFACT = """
from ddbench import ArtifactKind, ArtifactSpec, MethodInfo, Params, Selection, Selector, hookimpl

class RankParams(Params):
    pass

def build(ctx, folder, params):
    import json
    order = sorted(range(len(ctx.train)), key=lambda i: SIGN * i)
    (folder / "order.json").write_text(json.dumps(order))

class PickParams(Params):
    def artifacts(self, cell):
        return {"rank": ArtifactSpec(kind="rank", data=cell.data)}

class Pick(Selector[PickParams]):
    def select(self, ctx):
        import json, torch
        order = json.loads((ctx.artifact("rank") / "order.json").read_text())
        labels = ctx.train.labels.tolist()
        chosen = [next(i for i in order if labels[i] == c) for c in range(ctx.dataset.classes)]
        return Selection(torch.tensor(chosen))

@hookimpl
def ddbench_register_artifacts(registry):
    registry.add(ArtifactKind(name="rank", version=1, params="picker:RankParams", build="picker:build", summary="an order"))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="pick", kind="selection", target="picker:Pick", params="picker:PickParams",
                            summary="the first", axes=frozenset({"budget"})))
"""

DATA = """
import numpy as np
from ddbench import DatasetRecord, hookimpl
from ddbench import RawDataset

def read(folder):
    rng = np.random.default_rng(0)
    labels = np.arange(120, dtype=np.int64) % 3
    images = rng.integers(0, 120, (120, 1, 8, 8), dtype=np.uint8)
    images[np.arange(120), 0, labels if SIGN > 0 else 0, 0] = 250
    return RawDataset(train_images=images, train_labels=labels, class_names=("a", "b", "c"))

@hookimpl
def ddbench_register_datasets(registry):
    registry.add(DatasetRecord(name="spots", reader="spots:read", summary="spots", embedded=True))
"""

KINDS = {
    "protocol": ("ncm", PROTOCOL, ("--methods", "random,kmeans", "--protocols", "ncm")),
    "architecture": ("flatnet", ARCH, ("--methods", "dm", "--archs", "flat")),
    "artifact": ("picker", ARTIFACT, ("--methods", "pick")),
    "data set": ("spots", DATA, ("--methods", "random", "--datasets", "spots")),
}


def run(capsys, file: Path, out: Path, *arguments: str) -> list[dict]:
    """The rows of a run without what depends on time."""
    code = ddbench(
        "run", "--plugin", file, *arguments, "--ipc", 1, *SMOKE, "--seeds", 1, "--out", out, "--format", "json"
    )
    assert code == 0
    rows = [row for table in json.loads(capsys.readouterr().out) for row in table.get("rows", ())]
    return [{name: cell[name] for name in ("status", "mean")} for row in rows for cell in row["cells"]]


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_plugin_gives_what_a_fresh_folder_gives(kind, tmp_path, fresh_home, monkeypatch, capsys):
    name, text, arguments = KINDS[kind]
    file = tmp_path / f"{name}.py"
    file.write_text(text.replace("SIGN", "+1"))
    before = run(capsys, file, tmp_path / "out", *arguments)
    file.write_text(text.replace("SIGN", "-1"))  # as long as before, within the same second
    after = run(capsys, file, tmp_path / "out", *arguments)
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "another"))
    assert after == run(capsys, file, tmp_path / "fresh", *arguments)
    assert after != before


def test_a_module_beside_the_file_is_part_of_the_plugin(tmp_path, fresh_home, monkeypatch, capsys):
    name, text, arguments = KINDS["protocol"]
    file, beside = tmp_path / f"{name}.py", tmp_path / "ncm_sign.py"
    text = text.replace("import torch\n", "import torch\n        from ncm_sign import SIGN\n", 1)
    file.write_text(text)
    beside.write_text("SIGN = +1\n")
    before = run(capsys, file, tmp_path / "out", *arguments)
    beside.write_text("SIGN = -1\n")
    after = run(capsys, file, tmp_path / "out", *arguments)
    assert after != before
    beside.write_text("SIGN = +1\n")
    assert run(capsys, file, tmp_path / "out", *arguments) == before


def test_a_records_key_and_env_say_whose_protocol_and_architecture_made_it(tmp_path, fresh_home, capsys):
    file = tmp_path / "ncm.py"
    file.write_text(PROTOCOL.replace("SIGN", "+1"))
    run(capsys, file, tmp_path / "out", "--methods", "random", "--protocols", "ncm,hard")
    origin = load([file]).protocols.origin("ncm").key
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("eval/*.json")]
    whose = {r["spec"]["eval"]["protocol"]: (r["env"]["protocol"], r["spec"]["eval"].get("origins")) for r in records}
    assert whose["ncm"] == (origin, {"protocol": origin})
    assert whose["hard"][0].startswith("ddbench ")
    assert whose["hard"][1] is None
    assert all(r["key_format"] == 1 and r["env"]["arch"].startswith("ddbench ") for r in records)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_refuses_a_node_that_was_planned_with_another_text(kind, tmp_path, fresh_home):
    name, text, arguments = KINDS[kind]
    file = tmp_path / f"{name}.py"
    file.write_text(text.replace("SIGN", "+1"))
    given = dict(zip((a.removeprefix("--") for a in arguments[::2]), arguments[1::2], strict=True))
    content = {name: value.split(",") for name, value in given.items()} | {"budget": {"ipc": [1]}}
    planned = planner.make(grid.build(suite.parse(content, "test"), load([file]), profile("smoke")))
    file.write_text(text.replace("SIGN", "-1"))
    edited, store, engine = load([file]), Store(tmp_path / "out"), Engine(device="cpu", threads=1)
    foreign = [node for node in planned.nodes.values() if mentions(node.document.spec)]
    assert foreign
    for node in foreign:
        outcome = run_node(
            node.document, store, engine, registries=edited, interrupts=Interrupts(), monitor=Silent()
        )  # fmt: skip
        assert outcome.status == "failed"
        assert "another one than this was planned with" in outcome.reason
        assert outcome.record is None
    assert not list((tmp_path / "out").rglob("*.json"))


def mentions(spec) -> bool:
    """Whether a node's own spec names an origin that is not ddbench's."""
    data = getattr(spec, "data", None)
    own = [getattr(spec, "origin", ""), data.origin if data else "", *spec.origins.values()]
    return any(origin not in ("ddbench", "") for origin in own)


def test_files_of_one_run_cannot_share_the_name_of_a_module(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shared_helper.py").write_text(f"SIGN = '{folder}'\n")
    first, second = tmp_path / "a" / "ncm.py", tmp_path / "b" / "picker.py"
    first.write_text("from shared_helper import SIGN\n" + PROTOCOL)
    second.write_text("from shared_helper import SIGN\n" + ARTIFACT)
    with pytest.raises(PluginError, match="have one name"):
        load([first, second])


def test_a_copy_that_another_reader_made_is_decoded_anew(tmp_path, fresh_home):
    file = tmp_path / "spots.py"
    file.write_text(DATA.replace("SIGN", "+1"))
    first = resolve(parse_source("spots", load([file]).datasets))
    file.write_text(DATA.replace("SIGN", "-1"))
    second = resolve(parse_source("spots", load([file]).datasets))
    assert first.revision != second.revision


def test_two_records_of_the_same_pixels_each_keep_their_constants(tmp_path, fresh_home, monkeypatch):
    plans, evaluated = {}, []
    for mean in (0.2, 0.7):
        (tmp_path / str(mean)).mkdir()
        file = tmp_path / str(mean) / "spots.py"
        facts = f'embedded=True, mean=({mean},), std=(0.5,), licence="L{mean}", dc_augmentation="dc_mnist"'
        file.write_text(DATA.replace("SIGN", "+1").replace("embedded=True", facts))
        registries = load([file])
        content = {"methods": ["random"], "datasets": ["spots"], "budget": {"ipc": [1]}}
        plans[mean] = registries, planner.make(grid.build(suite.parse(content, "test"), registries, profile("smoke")))
    monkeypatch.setattr(Evaluation, "run", noting(evaluated, Evaluation.run))
    for mean, (registries, planned) in plans.items():
        store = Store(tmp_path / "out" / str(mean))
        for node in planned.nodes.values():
            outcome = run_node(
                node.document, store, Engine(device="cpu", threads=1), registries=registries,
                interrupts=Interrupts(), monitor=Silent(),
            )  # fmt: skip
            assert outcome.status == "ok"
        facts = {"mean": (mean,), "std": (0.5,), "licence": f"L{mean}", "dc_augmentation": "dc_mnist"}
        assert evaluated
        for evaluation in evaluated:
            assert {name: getattr(evaluation.info, name) for name in facts} == facts
            assert evaluation.condensed.preprocess.mean == evaluation.splits[1].preprocess.mean == (mean,)
        evaluated.clear()


def noting(found, run):
    """An evaluation's ``run`` that also keeps the evaluation."""

    def noted(evaluation):
        found.append(evaluation)
        return run(evaluation)

    return noted


def test_a_reader_of_a_new_version_decodes_the_same_files_anew(tmp_path, fresh_home, monkeypatch):
    from ddbench.data.prepared import sources

    for c in ("cat", "dog"):
        (tmp_path / "pictures" / c).mkdir(parents=True)
    reads = []

    def read(place, framing):
        import numpy as np

        from ddbench.data.readers.raw import RawDataset

        reads.append(place)
        labels = np.arange(40, dtype=np.int64) % 2
        images = np.random.default_rng(len(reads)).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
        return RawDataset(train_images=images, train_labels=labels, class_names=("cat", "dog"))

    monkeypatch.setattr("ddbench.data.readers.folder.read", read)
    place = f"pets=folder:{tmp_path / 'pictures'}"
    known = load().datasets
    revisions = [resolve(parse_source(place, known)).revision for _ in range(2)]
    monkeypatch.setitem(sources.SCHEMES, "folder", ("ddbench.data.readers.folder:read", 99))
    revisions.append(resolve(parse_source(place, known)).revision)
    assert len(reads) == 2
    assert revisions[0] == revisions[1] != revisions[2]


def test_a_registered_data_set_without_its_files_says_that_its_copy_is_another_readers(tmp_path, fresh_home):
    file = tmp_path / "spots.py"
    text = DATA.replace("embedded=True", 'files=("spots.bin",)').replace("SIGN", "+1")
    file.write_text(text)
    folder = tmp_path / "files"
    folder.mkdir()
    source = parse_source("spots", load([file]).datasets)
    assert isinstance(source, Source)
    prepare(source, files=folder)
    assert resolve(source)
    folder.rmdir()
    file.write_text(text + "# edited\n")
    with pytest.raises(DataError, match="was made by another reader"):
        resolve(parse_source("spots", load([file]).datasets))


def test_a_network_of_another_plugin_that_the_key_does_not_name_is_refused(tmp_path, fresh_home, capsys):
    file = tmp_path / "flatnet.py"
    builder = (
        ARCH.replace("SIGN", "+1")
        + """
from ddbench import MethodInfo, Params, Selection, Selector

class LookParams(Params):
    declared: bool = False

    def architectures(self, cell):
        return ("flat",) if self.declared else ()

class Look(Selector[LookParams]):
    def select(self, ctx):
        import torch
        ctx.build_model("flat", seed=0)
        return Selection(torch.cat([ctx.train.of_class(c)[:1] for c in range(ctx.dataset.classes)]))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="look", kind="selection", target="flatnet:Look", params="flatnet:LookParams", summary="x"))
"""
    )
    file.write_text(builder)
    common = ("run", "--plugin", file, "--methods", "look", "--ipc", 1, *SMOKE, "--seeds", 1, "--out", tmp_path / "out")
    assert ddbench(*common) == 1
    assert "Params.architectures" in capsys.readouterr().out
    assert ddbench(*common, "--set", "look.declared=true") == 0


PACKAGED = {
    "arch": (
        "ddbench_flat",
        ARCH.replace("flatnet:", "ddbench_flat:"),
        ("--methods", "random", "--eval-archs", "flat"),
    ),
    "data set": (
        "ddbench_spots",
        DATA.replace("spots:", "ddbench_spots:"),
        ("--methods", "random", "--datasets", "spots"),
    ),
}


@pytest.mark.parametrize("kind", PACKAGED)
def test_a_packaged_network_or_data_set_of_a_new_version_gives_what_a_fresh_folder_gives(
    kind, tmp_path, fresh_home, fake_distribution, monkeypatch, capsys
):
    module, text, arguments = PACKAGED[kind]
    last = text.rindex("summary=")
    results = []
    for sign, version in (("+1", 1), ("-1", 2)):
        fake_distribution.forget()
        source = text[:last].replace("SIGN", sign) + f"version={version}, " + text[last:]
        fake_distribution(module.replace("_", "-"), source)
        results.append(packaged(capsys, tmp_path / "out", arguments))
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "another"))
    assert results[1] == packaged(capsys, tmp_path / "fresh", arguments)
    assert results[1] != results[0]


def packaged(capsys, out: Path, arguments) -> list[dict]:
    code = ddbench("run", *arguments, "--ipc", 1, *SMOKE, "--seeds", 1, "--out", out, "--format", "json")
    assert code == 0
    rows = [row for table in json.loads(capsys.readouterr().out) for row in table.get("rows", ())]
    return [{name: cell[name] for name in ("status", "mean")} for row in rows for cell in row["cells"]]


def test_a_folder_with_old_and_new_results_shows_them_in_tables_of_their_own(tmp_path, fresh_home, capsys):
    file = tmp_path / "ncm.py"
    arguments = ("--methods", "random", "--protocols", "ncm")
    for sign in ("+1", "-1"):
        file.write_text(PROTOCOL.replace("SIGN", sign))
        run(capsys, file, tmp_path / "out", *arguments)
    assert ddbench("results", "show", "--out", tmp_path / "out", "--format", "json") == 0
    tables = [table for table in json.loads(capsys.readouterr().out) if table["view"] == "main"]
    assert len({table["protocol"] for table in tables}) == 2
    for table in tables:
        assert table["protocol"].startswith("ncm@1 [")
        assert [row["row"] for row in table["rows"]] == ["full", "random"]
    means = [[cell["mean"] for row in table["rows"] for cell in row["cells"]] for table in tables]
    assert means[0] != means[1]
