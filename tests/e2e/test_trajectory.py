"""Trajectory methods through the command line: whitened and not, with their controls, under their own recipes."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.store import artifacts
from ddbench.core.store.folder import Store
from ddbench.data.dataset import facts_of
from tests.e2e.runs import SMOKE, ddbench

METHODS = "mtt,tesla,ftd,datm"


@pytest.fixture(scope="module")
def done(tmp_path_factory, new_home):
    folder = tmp_path_factory.mktemp("trajectory")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDBENCH_HOME", str(new_home(folder / "home")))
        options = ["--methods", METHODS, "--ipc", "1", "--preprocess", "meanstd,zca-kornia", "--seeds", "1",
                   "--protocols", "hard-fixed,native", "--controls", "--out", str(folder / "runs"), "--format", "json"]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = ddbench("run", *options, *SMOKE)
        yield code, out.getvalue(), [record for _, record in Store(folder / "runs").records()], folder


def of(records, kind, **cell):
    """Records of a kind whose cell has these fields."""

    def fits(record):
        return all(getattr(record.document.cell, name) == value for name, value in cell.items())

    return [record for record in records if record.kind == kind and fits(record)]


def test_every_row_has_a_result_in_both_spaces(done):
    code, out, _, _ = done
    assert code == 0
    tables = {(table["preprocess"], table["protocol"]): table for table in json.loads(out)}
    assert set(tables) == {
        (space, protocol) for space in ("meanstd", "zca-kornia") for protocol in ("hard-fixed@1", "native@2")
    }
    for (_, protocol), table in tables.items():
        names = {row["row"] for row in table["rows"]}
        methods = METHODS.split(",")
        assert {*methods, *(f"{name} (0 steps)" for name in methods), "random_soft"} <= names
        assert {"random (recipe of datm)"} <= names if protocol == "native@2" else {"random", "full"} <= names
        assert all(cell["status"] == "ok" for row in table["rows"] for cell in row["cells"])


def test_one_pool_serves_all_methods_of_a_space(done):
    folders = [path for path in (done[3] / "home/artifacts/experts").iterdir() if not path.suffix]
    assert len(folders) == 2


def test_native_trains_at_the_rate_that_the_set_learned(done):
    records = done[2]
    made_by_datm = [record for record in of(records, "condense", method="datm") if record.document.cell.r >= 0]
    assert len(made_by_datm) == 4  # two spaces, with and without steps
    for made in made_by_datm:
        (student,) = (
            r for r in of(records, "evaluation", method="datm")
            if r.evaluation.eval.protocol == "native" and r.evaluation.eval.set == made.key
        )  # fmt: skip
        folder = Store(done[3] / "runs").folder(made.document)
        condensed, _ = Store(done[3] / "runs").load_set(folder)
        assert student.selection["lr"] == condensed.recipe.lr
        assert condensed.label_space == "logits"
        assert condensed.preprocess.id == made.document.cell.data.preprocess
        assert (condensed.preprocess.matrices is None) == (condensed.preprocess.id == "meanstd")


def test_random_under_a_recipe_is_trained_as_long_as_the_set_that_it_stands_beside(done):
    students = [r for r in of(done[2], "evaluation") if r.evaluation.eval.protocol == "native"]
    lengths = {r.evaluation.eval.set: r.metrics["updates"] for r in students if r.evaluation.recipe is None}
    twins = [r for r in students if r.evaluation.recipe is not None]
    assert twins and all(r.metrics["updates"] == lengths[r.evaluation.recipe.key] for r in twins)
    assert all(r.cost.steps == r.metrics["updates"] == r.updates for r in students)


def test_the_experts_are_charged_to_every_method_as_far_as_it_opens_them(done, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(done[3] / "home"))
    for name in (*METHODS.split(","), "random_soft"):
        records = of(done[2], "condense", method=name)
        assert records
        for record in records:
            document, cost = record.document, record.cost
            built = {key: artifacts.manifest(*place)["cost"] for key, place in document.artifacts.items()}
            params = params_class(installed().methods.get(name)).model_validate(document.cell.params)
            share = params.opens("experts", document.cell, facts_of(document.cell.data, installed().datasets))
            pool = built.pop("experts")
            for spent, seconds in ((cost, "seconds"), (cost.cpu, "cpu_seconds")):
                others = sum(one[seconds] for one in built.values())  # whitening matrices: needed as a whole
                assert spent.artifact_s == pytest.approx(share * pool[seconds] + others)
                assert spent.artifact_rest_s == pytest.approx((1 - share) * pool[seconds])
            whole = name in ("datm", "random_soft")
            assert share == 1.0 if whole else 0.0 < share < 1.0 if params.steps else share == 0.0


def test_records_say_where_on_the_experts_way_the_segments_lay(done):
    made = next(r for r in of(done[2], "condense", method="mtt") if r.document.cell.params["iterations"])
    assert {"window_first_top1", "window_last_top1", "segment_norm", "skipped_percent", "image_change"} <= set(
        made.metrics
    )
