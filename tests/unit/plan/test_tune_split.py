"""Split ``tune`` and negative repetitions: who may ask for them, and what is derived from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ddbench.blocks.params import PoolParams
from ddbench.core.documents import ArtifactDocument, CellDocument, EvaluationDocument
from ddbench.core.errors import UsageError
from ddbench.core.keys import condense_key, eval_key, seed_of
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.core.specs import Budget, CellSpec, DataSpec
from ddbench.core.store.folder import CONDENSE, Store, evaluation_path, read_record
from ddbench.core.store.jsonl import write_records
from ddbench.plan import grid, planner, suite
from ddbench.publish import leaderboard
from ddbench.results.audit.quartiles import note_quartiles
from ddbench.results.tables.conditions import conditions
from ddbench.results.tables.tables import tables_of
from ddbench.work.engine import choose
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from ddbench.work.node import run_node
from tests.factories import cell, keyed

VIEW = ({"name": "train_size", "size": 100, "seed": 0},)
CONTENT = {
    "methods": ["random"], "budget": {"ipc": [1]}, "profile": "smoke", "protocols": ["hard-fixed"],
    "datasets": [{"name": "digits", "view": {"train_size": 100}}],
}  # fmt: skip


def tuning(**content):
    parsed = suite.parse(CONTENT | content, "test").model_copy(update={"split": "tune"})
    return planner.make(grid.build(parsed, installed(), profile("smoke")))


def test_no_file_and_no_command_line_may_ask_for_it():
    with pytest.raises(UsageError, match=r"cpu\.yaml: split: 'tune' is set by `ddbench tune` alone"):
        suite.parse(CONTENT | {"split": "tune"}, "cpu.yaml")


def test_the_code_may_and_every_node_is_of_that_split():
    documents = [node.document for node in tuning(methods=["random", "kmeans"]).nodes.values()]
    assert len(documents) > 4
    data = [d.artifact.data if isinstance(d, ArtifactDocument) else d.cell.data for d in documents]
    assert {item.split for item in data} == {"tune"}


def test_nothing_of_it_shares_a_key_with_what_is_reported():
    reported = planner.make(grid.build(suite.parse(CONTENT, "test"), installed(), profile("smoke")))
    assert reported.nodes.keys().isdisjoint(tuning().nodes)


def test_a_view_that_leaves_nothing_out_is_refused_while_planning():
    with pytest.raises(UsageError, match="give the view a train_size below 1098"):
        tuning(datasets=["digits"])


@pytest.mark.parametrize("expert_seed", ["shared", "per_rep"])
def test_every_repetition_has_a_pool_of_its_own_while_tuning(expert_seed):
    def pool_of(r, split):
        data = DataSpec(name="digits", revision="0" * 16, split=split, view=VIEW)
        spec = CellSpec(
            method="mtt", method_version=1, origin="", params={}, data=data, budget=Budget(ipc=1),
            arch="convnet2-w8-in", master=0, r=r,
        )  # fmt: skip
        return PoolParams(expert_seed=expert_seed).artifacts(spec)["experts"].seed

    assert [pool_of(r, "tune")["r"] for r in (-1, -2, 3)] == [-1, -2, 3]
    assert [pool_of(r, "default")["r"] for r in (-1, 3)] == ([0, 0] if expert_seed == "shared" else [-1, 3])


def test_negative_repetitions_have_seeds_and_keys_of_their_own():
    assert len({seed_of(0, "digits", r, "net") for r in range(-3, 4)}) == 7
    assert all(0 <= seed_of(0, "digits", r, "net") < 2**63 for r in range(-3, 0))


def test_a_negative_repetition_runs_and_is_scored_on_what_the_view_leaves_out(tmp_path, fresh_home):
    made = tuning()
    documents = [node.document for node in made.nodes.values()]
    condense = next(d for d in documents if isinstance(d, CellDocument) and d.cell.method == "random")
    train = next(d for d in documents if isinstance(d, EvaluationDocument) and d.cell.method == "random")
    sets, store, registries = [], Store(tmp_path), installed()
    how = {"registries": registries, "interrupts": Interrupts(), "monitor": Silent()}
    for r in (-1, -2):
        spec = condense.cell.model_copy(update={"r": r})
        key = condense_key(spec, registries.methods.get("random").axes, ())
        own = condense.model_copy(update={"cell": spec, "key": key})
        assert run_node(own, store, choose(device="cpu", threads=1), **how).status == "ok"
        student = train.eval.model_copy(update={"r": r, "set": key})
        scored = train.model_copy(update={"eval": student, "key": eval_key(student), "set": own})
        assert run_node(scored, store, choose(device="cpu", threads=1), **how).status == "ok"
        folder = store.folder(own)
        record = read_record(evaluation_path(folder, scored.key))
        assert record is not None and record.n_test == 1097 and record.evaluation.eval.r == r
        sets.append((folder / "condensed.safetensors").read_bytes())
        assert (folder / CONDENSE).is_file()
    assert sets[0] != sets[1]
    records = [record for _, record in store.records()]
    assert conditions(tables_of(records)[0]).startswith("digits [train_size 100] (split tune)")
    noted, problems = note_quartiles(
        [(path, record) for path, record in store.records() if record.kind == "evaluation"],
        registries.architectures, lambda spec: pytest.fail("the test split is opened"),
    )  # fmt: skip
    assert noted == [] and problems == ["digits (split tune): scored on training images, which have no quartiles"]


def test_a_skip_is_said_once_whatever_the_numbers_of_the_repetitions():
    made = tuning(methods=["random", "dm"], budget={"ipc": [1, 60]}, seeds={"condense": 2})
    expected = list(made.skips())
    assert expected
    assert list(planner.make(replace(made.grid, repetitions=(-1, -2))).skips()) == expected


def test_a_leaderboard_refuses_it(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    write_records(path, keyed(cell("dm", [50.0], data={"split": "tune"})))
    with pytest.raises(UsageError, match=r"dm \(split tune\) was scored on training images"):
        leaderboard._fit(path)
