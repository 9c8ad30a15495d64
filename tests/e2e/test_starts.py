"""Rows that start from another row's set, through the command line: their sets, costs, failures, repair and resumption."""

from __future__ import annotations

import contextlib
import io
import json
import shutil

import pytest
import torch

from ddbench.core.store import artifacts
from ddbench.core.store.folder import Store
from ddbench.results.audit.verify import cases_of, with_sets
from tests.e2e.runs import SMOKE, contents, ddbench, folders

PICK = """
from ddbench import MethodInfo, Params, Selection, Selector, hookimpl
from pydantic import Field

class PickParams(Params):
    trouble: bool = Field(default=False, description="whether it fails")

class Pick(Selector):
    def select(self, ctx):
        import torch
        if self.params.trouble:
            raise MemoryError("too many images")
        ctx.warn("the last are not the best")
        chosen = torch.cat([ctx.train.of_class(c)[-n:] for c, n in enumerate(ctx.per_class)]).flip(0)
        return Selection(chosen, torch.linspace(1.0, 2.0, len(chosen)))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="pick", kind="selection", target="pickplugin:Pick", params="pickplugin:PickParams",
                            summary="the last images"))
"""
ONLY = ("--reference-limit", "0s")
ALL = (
    "--methods", "datm,kmeans,kmeans_soft", "--ipc", "2", "--preprocess", "zca-kornia", "--protocols", "native,hard-fixed",
    "--set", "datm.expert_seed=per_rep", "--format", "json", *ONLY, *SMOKE,
)  # fmt: skip
SOFT = ("--ipc", "1", "--protocols", "soft", *ONLY, *SMOKE)


@pytest.fixture
def pick(tmp_path):
    path = tmp_path / "pickplugin.py"
    path.write_text(PICK)
    return path


def quietly(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        return ddbench(*arguments), out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """With whitened images, so that selection and labels read one artifact together."""
    out = tmp_path_factory.mktemp("starts") / "runs"
    return *quietly("run", *ALL, "--out", out), out


def of_row(out, label):
    """Folders, sets and records of a row, repetitions in order."""
    store = Store(out)
    found = [record for _, record in store.records("condense.json") if record.document.label == label]
    found = sorted(found, key=lambda record: record.document.cell.r)
    return [(store.folder(r.document), *store.load_set(store.folder(r.document))) for r in found]


def test_it_keeps_the_images_of_the_other_row_and_has_labels_of_its_own(done):
    code, _, err, out = done
    assert code == 0
    sets = {(record.key): condensed for _, condensed, record in of_row(out, "kmeans")}
    softened = of_row(out, "kmeans_soft")
    assert len(softened) == 2
    for _, condensed, record in softened:
        start = sets[record.document.cell.initial]
        assert torch.equal(condensed.indices, start.indices)
        assert torch.equal(condensed.aux["classes"], start.labels)
        assert condensed.label_space == "probs" and condensed.preprocess == start.preprocess
        torch.testing.assert_close(condensed.labels.sum(1), torch.ones(20))
    assert (
        err.count("kmeans_soft is left out under hard-fixed@1, which learns hard labels: there it equals kmeans\n") == 1
    )


def test_it_is_ranked_beside_distillers_under_native_and_in_no_table_of_hard_labels(done):
    tables = {table["protocol"]: table for table in json.loads(done[1])}
    assert set(tables) == {"native@2", "hard-fixed@1"}
    for protocol, table in tables.items():
        names = [row["row"] for row in table["rows"]]
        native = protocol == "native@2"
        assert ("kmeans_soft" in names, "kmeans" in names) == (native, not native)
        assert all(cell["status"] == "ok" for row in table["rows"] for cell in row["cells"] if row["row"] != "full")
    records = [r for _, r in Store(done[3]).records("eval/*.json") if r.document.label == "kmeans_soft"]
    assert {r.document.role.kind for r in records} == {"method"} and len(records) == 2


def test_it_is_charged_for_the_selection_and_for_its_experts_and_once_for_what_both_read(done):
    made = {record.key: record for _, _, record in of_row(done[3], "kmeans")}
    for _, _, record in of_row(done[3], "kmeans_soft"):
        start = made[record.document.cell.initial]
        read = {*record.document.artifacts.values(), *start.document.artifacts.values()}
        assert sorted(kind for kind, _ in read) == ["experts", "features", "zca"]
        for timer in ("wall", "cpu"):
            built = sum(artifacts.seconds_of(artifacts.manifest(*place), timer) for place in read)
            chosen = start.cost.by(timer).prepare_s + start.cost.by(timer).condense_s
            assert record.cost.by(timer).artifact_s == pytest.approx(built + chosen) and chosen > 0
            assert record.cost.by(timer).artifact_rest_s == 0


def test_a_footnote_says_where_it_starts(done):
    code, out, _ = quietly("results", "show", "--out", done[3])
    assert code == 0
    assert "kmeans_soft: starts from the set of kmeans, and is charged for it as for an artifact" in out


def test_nothing_is_done_twice(done):
    again = quietly("run", *ALL, "--out", done[3])
    assert again[:2] == done[:2] and "done" not in again[2]


def test_a_set_that_started_from_another_can_be_verified_and_says_from_which(done):
    folder, _, record = of_row(done[3], "kmeans_soft")[0]
    code, out, _ = quietly("results", "verify", record.key[:16], "--out", done[3], "--same")
    assert code == 0 and "files as recorded" in out and "same" in out
    assert json.loads((folder / "manifest.json").read_text())["method"]["initial"] == record.document.cell.initial


def test_verification_knows_the_repetitions_of_a_row_by_what_they_start_from(done):
    mine = [r for _, r in Store(done[3]).records("eval/*.json") if r.document.label == "kmeans_soft"]
    cases = cases_of(with_sets(Store(done[3])), mine[:1])
    assert [len(case.row) for case in cases] == [len(mine)] == [2]


def test_a_plugins_selection_has_one_without_a_line_of_its_own(pick, tmp_path):
    args = ("run", "--plugin", pick, "--methods", "pick_soft", *SOFT)
    assert ddbench(*args, "--out", tmp_path / "one") == 0
    (_, first, _), (_, second, _) = of_row(tmp_path / "one", "pick_soft")
    assert torch.equal(first.weights, torch.linspace(1.0, 2.0, 10)) and torch.equal(first.indices, second.indices)
    assert first.aux["classes"].tolist() == list(range(9, -1, -1))
    assert ddbench(*args, "--out", tmp_path / "two", "--jobs", "2") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two"), "in processes of their own"


def test_warnings_about_the_start_are_warnings_about_the_row_and_footnotes(pick, tmp_path, capsys):
    args = ("run", "--plugin", pick, "--methods", "pick_soft", "--out", tmp_path / "runs", *SOFT)
    assert ddbench(*args) == 0
    assert "pick_soft: the last are not the best" in capsys.readouterr().out
    for _, _, record in of_row(tmp_path / "runs", "pick_soft"):
        assert record.warnings.count("the last are not the best") == 1


def test_a_failed_start_is_the_rows_failure(pick, tmp_path, capsys):
    args = ("run", "--plugin", pick, "--methods", "pick_soft", "--out", tmp_path / "runs", *SOFT)
    assert ddbench(*args, "--set", "pick.trouble=true") == 1
    said = capsys.readouterr()
    assert "oom: starts from the set of pick (trouble=true) ipc 1 r0: too many images" in said.out
    assert "| pick " not in said.out, "a row that nobody named"
    assert ddbench(*args, "--set", "pick.trouble=true") == 1, "failures are kept"
    assert "oom: starts from the set of pick" in capsys.readouterr().out


def test_a_damaged_start_is_made_again(pick, tmp_path, capsys):
    args = ("run", "--plugin", pick, "--methods", "pick,pick_soft", "--out", tmp_path / "runs", *SOFT)
    assert ddbench(*args) == 0
    before = contents(tmp_path / "runs")
    starts, started = (of_row(tmp_path / "runs", label) for label in ("pick", "pick_soft"))
    for folder, _, _ in started:
        shutil.rmtree(folder)
    for folder, _, _ in starts:
        (folder / "condensed.safetensors").write_bytes(b"nothing")
    capsys.readouterr()
    assert ddbench(*args) == 0
    assert capsys.readouterr().err.count("it will be made again") == 2
    assert contents(tmp_path / "runs") == before


def test_a_start_that_was_removed_is_made_again_only_for_a_set_that_is_not_there(pick, tmp_path, capsys):
    args = ("run", "--plugin", pick, "--methods", "pick_soft", "--out", tmp_path / "runs", *SOFT)
    assert ddbench(*args) == 0
    before, table = contents(tmp_path / "runs"), capsys.readouterr().out
    for _, _, record in of_row(tmp_path / "runs", "pick"):
        assert ddbench("results", "rm", record.key[:16], "--out", tmp_path / "runs") == 0
    capsys.readouterr()
    assert ddbench(*args) == 0
    said = capsys.readouterr()
    assert said.out == table and "done" not in said.err
    _, _, record = of_row(tmp_path / "runs", "pick_soft")[0]
    assert ddbench("results", "rm", record.key[:16], "--out", tmp_path / "runs") == 0
    assert ddbench(*args) == 0
    assert "pick ipc 1 r0 · done" in (err := capsys.readouterr().err) and "pick ipc 1 r1" not in err
    left = contents(tmp_path / "runs")
    assert {path: left[path] for path in left} == {path: before[path] for path in left}


def test_a_cell_that_time_cut_short_goes_on_from_the_same_start(pick, tmp_path):
    args = ("run", "--plugin", pick, "--methods", "pick_soft", "--seeds", "1", *SOFT)
    calm, cut = tmp_path / "calm", tmp_path / "cut"
    assert ddbench(*args, "--out", calm) == 0
    shutil.copytree(calm, cut)
    (folder,) = folders(cut, "random_soft")
    shutil.rmtree(folder)
    for _ in range(2):
        assert ddbench(*args, "--out", cut, "--timeout", "0.001s") == 1
        assert json.loads((folder / "condense.json").read_text())["status"] == "timeout"
    assert ddbench(*args, "--out", cut) == 0
    record = json.loads((folder / "condense.json").read_text())
    assert record["status"] == "ok" and record["cost"]["attempts"] == 3
    assert contents(cut) == contents(calm)
