"""Sets that are made for one network in one initial state: planned, trained, shown apart, verified, exported."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional

from ddbench.core.profiles import profile
from ddbench.core.store.folder import Store
from ddbench.core.store.tensors import load_set
from ddbench.models import build_model
from ddbench.plan import grid, planner, suite
from ddbench.results.tables.tables import tables_of
from tests.e2e.runs import SMOKE, ddbench
from tests.ordered import RATES, plugin, registries

APART = "from its own initial state: one student of one network; shown apart, without rank and verdict"
OWN, OTHER = "convnet2-w8-in", "convnet1-w8-in"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    known = registries(tmp_path_factory.mktemp("plugin"))

    def made(**content):
        given = {
            "methods": ["ordered", "dm"], "budget": {"ipc": [2]}, "archs": [OWN], "profile": "smoke",
            "protocols": ["hard-fixed", "native"], "seeds": {"condense": 2, "evaluate": 3}, **content,
        }  # fmt: skip
        return planner.make(grid.build(suite.parse(given, "test"), known, profile("smoke")))

    return made


def students(made, row, protocol, eval_arch=OWN):
    return [
        (entry.r, entry.e)
        for entry in made.entries
        if (entry.row, entry.table.protocol, entry.table.eval_arch) == (row, protocol, eval_arch) and not entry.skip
    ]


@pytest.mark.parametrize("row", ["ordered", "random (recipe of ordered)"])
def test_a_set_and_its_twin_have_one_student_where_the_recipe_is_followed(plan, row):
    made = plan()
    assert students(made, row, "native@2") == [(0, 0), (1, 0)]
    assert len(students(made, "dm", "native@2")) == len(students(made, "random (recipe of dm)", "native@2")) == 6
    assert all(
        entry.facts.own_student for entry in made.entries if entry.row == row and "native" in entry.table.protocol
    )


def test_protocols_whose_students_have_another_state_skip_it(plan):
    made = plan()
    assert students(made, "ordered", "hard-fixed@1") == []
    why = {e.skip for e in made.entries if (e.row, e.table.protocol) == ("ordered", "hard-fixed@1")}
    assert why == {"made for one initial state, which students have under its own recipe, not under hard-fixed@1"}
    facts = [entry.facts for entry in made.entries if entry.row != "ordered" or "hard" in entry.table.protocol]
    assert not any(fact.own_student for fact in facts if fact.role.of != ("ordered",))
    assert all("own_student" not in fact.model_dump() for fact in facts if not fact.own_student), "records as before"


def test_students_of_other_networks_are_skipped_with_the_reason(plan):
    made = plan(eval_archs=[OWN, OTHER])
    for row in ("ordered", "random (recipe of ordered)"):
        assert students(made, row, "native@2", OTHER) == []
        why = {e.skip for e in made.entries if (e.row, e.table.protocol, e.table.eval_arch) == (row, "native@2", OTHER)}
        assert why == {f"trained from an initial state of {OWN}, which no student of {OTHER} can have"}
    assert len(students(made, "dm", "native@2", OTHER)) == 6
    assert any(why.startswith("trained from an initial state") for _, why in made.skips())


def test_sets_that_no_student_is_left_for_are_not_made(plan):
    made = plan(methods=["ordered", "dm"], protocols=["native"], eval_archs=[OTHER])
    assert not any(node.kind == "cell" and node.document.label == "ordered" for node in made.nodes.values())
    assert all(need in made.nodes for node in made.nodes.values() for need in node.needs)


# --------------------------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two repetitions at ipc 2, with the plugin that made it."""
    folder = tmp_path_factory.mktemp("run")
    path = plugin(folder)
    command = (
        "run", "--plugin", path, "--methods", "ordered,dm", "--ipc", "2", "--archs", OWN, "--protocols", "native",
        "--seeds", "2", "--eval-seeds", "2", "--eval-archs", f"{OWN},{OTHER}", "--reference-limit", "0",
        "--out", folder / "runs", *SMOKE,
    )  # fmt: skip
    assert ddbench(*command) == 0
    return folder / "runs", path


def records(out):
    return [record for path, record in Store(out).records() if path.is_relative_to(out)]


def evaluations(out, label):
    return [r for r in records(out) if r.kind == "evaluation" and r.evaluation.label == label]


def set_folder(out, record):
    return Store(out).folder(record.document.set)


def by_hand(images, labels, state):
    """The network after ordered batches at a rate each from a state, in float64."""
    model = build_model(OWN, channels=1, classes=10, size=8, seed=0).double()
    sizes = [one.numel() for one in model.parameters()]
    for one, values in zip(model.parameters(), state.double().split(sizes), strict=True):
        one.data = values.view_as(one).clone()
    buffers = [torch.zeros_like(one) for one in model.parameters()]
    for u, rate in enumerate(RATES):
        at = 10 * u % len(images)
        loss = functional.cross_entropy(model(images[at : at + 10].double()), labels[at : at + 10])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for one, v, g in zip(model.parameters(), buffers, gradients, strict=True):
            v.mul_(0.9).add_(g + 5e-4 * one.data)
            one.data -= rate * v
    return model


def test_the_student_and_the_twins_student_are_hand_loops_from_the_state_of_the_set(run):
    """Their predictions on all test images are those of a loop in float64, from a state that the twin's set lacks.

    Both see one image of each class in every batch, though the twin's set stands class by class.
    """
    from ddbench.data.space.split import open_splits, open_test
    from ddbench.work.evaluate.predictions import read_predictions

    out, _ = run
    for own in evaluations(out, "ordered"):
        (twin,) = [
            one
            for one in evaluations(out, "random (recipe of ordered)")
            if one.evaluation.eval.r == own.evaluation.eval.r
        ]
        made = load_set(set_folder(out, own) / "condensed.safetensors")
        drawn = load_set(set_folder(out, twin) / "condensed.safetensors")
        train, _ = open_splits(own.document.cell.data, device="cpu")
        test = open_test(own.document.cell.data, device="cpu")
        assert "initial" not in drawn.aux
        assert drawn.labels.tolist() == [c for c in range(10) for _ in range(2)]
        turns = torch.arange(20).view(10, 2).T.flatten()
        state, real = made.aux["initial"], train.images(drawn.indices[turns])
        for record, images, labels in ((own, made.images, made.labels), (twin, real, drawn.labels[turns])):
            found = by_hand(images, labels, state)(test.images().double()).argmax(1)
            path = set_folder(out, record) / "eval"
            stored = read_predictions(
                next(p for p in path.glob("*.safetensors") if p.stem == record.key[: len(p.stem)])
            )
            assert (found == stored).float().mean() > 0.99
            assert record.metrics["updates"] == len(RATES)


def test_the_table_says_so_and_holds_it_apart(run, capsys):
    out, _ = run
    own, other = tables_of(records(out))
    rows = {row.label: row for row in own.rows}
    for label in ("ordered", "random (recipe of ordered)"):
        assert APART in [own.footnotes[mark - 1].partition(": ")[2] for mark in rows[label].marks]
        assert rows[label].own_student and not rows[label].cells[0].ranked and rows[label].cells[0].students == 1
    assert not rows["ordered"].competes and rows["dm"].competes
    assert [row.label for row in own.rows if row.role.kind == "method"] == ["dm", "ordered"]
    assert all("ordered" not in family.rows and "ordered" not in family.conditional for family in own.families)
    assert rows["ordered"].cells[0].rank is None and not rows["ordered"].cells[0].bold
    assert other.setting.eval_arch == OTHER
    assert ddbench("results", "show", "--out", out, "--views", "main,ranks,lossless,cost") == 0
    assert APART in capsys.readouterr().out


def test_bytes_of_the_state_are_counted_and_shown(run, capsys):
    out, _ = run
    (first, *_) = [one for one in records(out) if one.kind == "condense" and one.document.label == "ordered"]
    state = load_set(set_folder(out, first) / "condensed.safetensors").aux["initial"]
    assert first.cost.bytes["initial"] == 4 * len(state) and first.cost.bytes["lrs"] == 4 * len(RATES)
    manifest = json.loads((set_folder(out, first) / "manifest.json").read_text())
    assert manifest["bytes"]["initial"] == 4 * len(state) and manifest["recipe"]["initial"] is True
    assert "all parameters of their network" in manifest["fields"]["aux.initial"]


def test_verification_trains_the_same_student_again(run, capsys):
    """No fresh one is there: whatever number it had, it would start from the same state."""
    out, path = run
    key = set_folder(out, evaluations(out, "ordered")[0]).name
    assert ddbench("results", "verify", key, "--out", out, "--plugin", path) == 0
    assert "same" in capsys.readouterr().out
    twin = set_folder(out, evaluations(out, "random (recipe of ordered)")[0]).name
    assert ddbench("results", "verify", twin, "--out", out, "--plugin", path) == 0


def test_an_audit_that_trains_again_starts_from_the_state(run):
    """Images of digits are not uint8 after noise: the student of the rounded set is almost, not quite, the recorded."""
    out, path = run
    assert ddbench("results", "quantise", "--out", out, "--plugin", path, "--protocols", "native") == 0
    for record in evaluations(out, "ordered"):
        assert abs(record.metrics["top1_uint8"] - record.metrics["top1"]) < 5
    for record in evaluations(out, "random (recipe of ordered)"):
        assert record.metrics["top1_uint8"] == record.metrics["top1"]


def test_exports_keep_the_state_and_imports_start_from_it(run, tmp_path, capsys):
    out, path = run
    record = evaluations(out, "ordered")[0]
    key = set_folder(out, record).name
    for form in ("npz", "pt"):
        file = tmp_path / f"ours.{form}"
        assert ddbench("export", key, "--to", form, "--into", file, "--out", out, "--plugin", path) == 0
        capsys.readouterr()
        given = ("--dataset", "digits", "--archs", OWN, "--protocols", "native", "--eval-seeds", "3")
        place = tmp_path / form
        assert ddbench("evaluate", file, *given, "--reference-limit", "0", "--out", place, *SMOKE) == 0
        assert APART in capsys.readouterr().out
        again = [one for one in records(place) if one.kind == "evaluation" and one.source == "imported"]
        assert [(one.evaluation.eval.r, one.evaluation.eval.e) for one in again] == [(0, 0), (1, 0)]
        assert {one.metrics["top1"] for one in again} == {record.metrics["top1"]}, "nothing but the state decides"
        assert all(one.evaluation.facts.own_student for one in again)
        made = next(one for one in records(place) if one.kind == "condense" and one.source == "imported")
        theirs = next(one for one in records(out) if one.key == record.evaluation.eval.set)
        assert made.cost.bytes == theirs.cost.bytes
    assert ddbench("export", key, "--to", "folder", "--into", tmp_path / "f", "--out", out, "--plugin", path) == 2
    assert "which folder cannot hold: use --to npz or pt" in capsys.readouterr().err


def test_an_export_that_lost_its_state_is_refused(run, tmp_path, capsys):
    out, path = run
    key = set_folder(out, evaluations(out, "ordered")[0]).name
    file = tmp_path / "ours.pt"
    assert ddbench("export", key, "--to", "pt", "--into", file, "--out", out, "--plugin", path) == 0
    content = torch.load(file, weights_only=True)
    del content["initial"]
    torch.save(content, file)
    capsys.readouterr()
    assert ddbench("import", file, "--dataset", "digits") == 2
    assert "an initial state, which the file does not hold" in capsys.readouterr().err


def test_students_with_another_norm_are_named_below_the_table(tmp_path, capsys):
    path = plugin(tmp_path, name="normed", own=False, start=("initial=True", "initial=False"),
                  kept=(", initial=self.initial", ""))  # fmt: skip
    command = (
        "run", "--plugin", path, "--methods", "ordered", "--set", "ordered.norm=bn", "--ipc", "1", "--archs", OWN,
        "--protocols", "native", "--seeds", "1", "--eval-seeds", "1", "--reference-limit", "0",
        "--out", tmp_path / "runs", *SMOKE,
    )  # fmt: skip
    assert ddbench(*command) == 0
    shown = capsys.readouterr().out
    assert "students are convnet2-w8-bn, as its recipe says" in shown and APART not in shown
    assert {one.metrics["student"] for one in evaluations(tmp_path / "runs", "ordered (norm=bn)")} == {"convnet2-w8-bn"}
