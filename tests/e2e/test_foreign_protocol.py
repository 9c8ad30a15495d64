"""A protocol of somebody else takes part in everything: tables, scores, regimes, verify, page; what it lacks is told at once."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.runs import SMOKE, ddbench, folders

BASE = ("--methods", "random,kmeans", "--ipc", "1", "--seeds", "2", *SMOKE)

NCM = """
from ddbench import (ArtifactKind, ArtifactSpec, EvalProtocol, Params, ProtocolInfo, ProtocolParams, Standing, hookimpl)

class NCMParams(ProtocolParams):
    PARAMS

class NCM(EvalProtocol):
    def fit(self, condensed, make_model, seed, artifacts):
        import torch
        images = condensed.images if condensed.images is not None else artifacts.train.images(condensed.indices)
        labels = condensed.labels if condensed.labels.ndim == 1 else condensed.labels.argmax(1)
        means = torch.stack([images[labels == c].mean(0).flatten() for c in range(artifacts.dataset.classes)])
        FIT
        return lambda batch: -torch.cdist(batch.flatten(1), means)

@hookimpl
def ddbench_register_protocols(registry):
    registry.add(ProtocolInfo("ncm", 1, "ncm_e2e:NCM", "ncm_e2e:NCMParams", "nearest class mean",
                              RECORD))
"""
RECORD = "trains_student=False, students=('pixels',), standing=Standing('class means', own_recipe='native')"


@pytest.fixture
def run(tmp_path, monkeypatch):
    def call(*more, protocols="hard-fixed,ncm", params="pass", fit="pass", record=RECORD, text=NCM):
        path = tmp_path / "ncm_e2e.py"
        path.write_text(text.replace("PARAMS", params, 1).replace("FIT", fit).replace("RECORD", record))
        words = ("run", "--plugin", path, "--protocols", protocols, "--out", tmp_path / "runs", *BASE, *more)
        return ddbench(*words)

    monkeypatch.chdir(tmp_path)
    return call


def test_tables_scores_regimes_verify_and_page_take_it(run, tmp_path, capsys):
    assert run("--eval-seeds", "2", "--views", "scores,regime") == 0
    shown = capsys.readouterr().out
    assert "→ pixels · meanstd · ncm@1" in shown
    scores = shown.partition("ncm@1")[2]
    assert "recovery" in scores and "HLR" in scores
    assert re.search(r"hard labels, DSA, lr .01 \(hard-fixed@1\) +\| +class means \(ncm@1 → pixels\)", shown)
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("eval/*.json")]
    own = [record for record in records if record["spec"]["eval"]["protocol"] == "ncm"]
    assert {record["spec"]["eval"]["e"] for record in own} == {0}, "nothing is trained: there is one student"
    assert all("artifacts" not in record["spec"]["eval"] for record in records)
    key = folders(tmp_path / "runs", "kmeans")[0].name
    assert ddbench("results", "show", "--views", "scores,regime") == 0, "without the plugin, from the records alone"
    assert capsys.readouterr().out == shown
    assert ddbench("results", "verify", key, "--plugin", tmp_path / "ncm_e2e.py", "--same") == 0
    assert "ncm@1 pixels" in capsys.readouterr().out
    assert ddbench("results", "page", "--no-pictures") == 0
    assert "ncm@1" in (tmp_path / "page.html").read_text()


EDITED = NCM + "# edited\n"
OLD = "recorded with another text of the plugin of protocol 'ncm': name that file: --plugin FILE.py"


def test_verify_verifies_what_it_can_and_says_which_text_the_rest_wants(run, tmp_path, capsys):
    assert run("--reference-limit", "0s") == run("--reference-limit", "0s", text=EDITED) == 0
    folder = folders(tmp_path / "runs", "kmeans")[0]
    assert len(list((folder / "eval").glob("*.json"))) == 3
    capsys.readouterr()
    assert ddbench("results", "verify", folder.name, "--plugin", tmp_path / "ncm_e2e.py", "--same") == 1
    shown = [line.split("  ")[-1].strip() for line in capsys.readouterr().out.splitlines() if " · " in line]
    assert sorted(shown) == [f"failed: {OLD}", "same", "same"]
    assert ddbench("results", "verify", folder.name, "--same") == 1
    shown = capsys.readouterr().out
    assert shown.count("the plugin of protocol 'ncm' is not here") == 2 and " same" in shown
    old = json.loads(max((folder / "eval").glob("*.json"), key=is_of_ncm).read_text())["key"]
    assert ddbench("results", "verify", old) == 2
    assert "the plugin of protocol 'ncm' is not here" in capsys.readouterr().err
    edit(tmp_path / "ncm_e2e.py")
    assert ddbench("results", "verify", old, "--plugin", tmp_path / "ncm_e2e.py") == 2
    assert OLD in capsys.readouterr().err


def edit(path):
    path.write_text(path.read_text() + "# edited again\n")


def is_of_ncm(path):
    return json.loads(path.read_text())["spec"]["eval"]["protocol"] == "ncm"


@pytest.mark.parametrize(("command", "have"), [("quantise", 6), ("full-stopped", 4)])
def test_what_another_text_recorded_gets_no_metric_and_the_rest_does(run, tmp_path, capsys, monkeypatch, command, have):
    monkeypatch.setattr(
        "tests.e2e.test_foreign_protocol.BASE", ("--methods", "dm", "--set", "dm.iterations=2", *BASE[2:])
    )
    assert run(record="{'updates': 9}, " + RECORD) == 0
    monkeypatch.setattr("ddbench.results.audit.full_stopped.seconds_of", lambda made, student, timer: 1e-6)
    edit(tmp_path / "ncm_e2e.py")
    capsys.readouterr()
    assert ddbench("results", command, "--out", tmp_path / "runs", "--plugin", tmp_path / "ncm_e2e.py") == 1
    told = capsys.readouterr()
    assert re.search(rf": {have} of 8 evaluations have \w+; {have} new", told.out)
    assert told.err.count(f"ncm@1 pixels: failed: {OLD}") == 8 - have


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"text": NCM.replace("(ProtocolParams)", "(Params)")},
            "is not a subclass of ddbench.ProtocolParams; it lacks updates",
        ),
        ({"text": NCM.replace('"ncm_e2e:NCM"', '"ncm_e2e:Gone"')}, "its module has no 'Gone'"),
        ({"text": NCM.replace('"ncm_e2e:NCM"', '"ncm_e2e:NCMParams"')}, "is not a subclass of ddbench.EvalProtocol"),
        ({"params": "depth: int"}, "NCMParams.resolve for 1497 images of digits: depth: Field required"),
        (
            {"record": "{'lr': (.1, .01)}"},
            "2 learning rates for 1497 images of digits, but ProtocolInfo.chooses_lr is False",
        ),
        ({"params": "def unsupported(self, evaluation, data): return 5"}, "NCMParams.unsupported returned 5"),
        ({"params": "def artifacts(self, evaluation): return 1 / 0"}, "NCMParams.artifacts: ZeroDivisionError"),
        ({"record": "students=('nonet',)"}, "which is no architecture, yet it trains a student"),
    ],
)
def test_what_it_lacks_is_an_error_before_anything_is_condensed(run, tmp_path, capsys, change, told):
    assert run(**change) == 2
    shown = capsys.readouterr().err
    assert told in shown and "protocol 'ncm'" in shown and "ncm_e2e.py" in shown
    assert not list(tmp_path.rglob("condense.json"))


def test_what_it_cannot_evaluate_is_a_skipped_row_and_the_set_is_not_made_for_it(run, tmp_path, capsys):
    refuse = "def unsupported(self, evaluation, data): return 'no k-means here' if evaluation.cell.method == 'kmeans' else None"
    assert run(params=refuse) == 0
    assert "no k-means here" in capsys.readouterr().out.partition("ncm@1")[2]
    assert run("--out", tmp_path / "other", protocols="ncm", params=refuse) == 0
    assert "no k-means here" in capsys.readouterr().out
    assert not list((tmp_path / "other").rglob("kmeans"))


def test_students_are_split_by_protocol_and_the_rest_is_told(run, capsys):
    assert run("--eval-archs", "mlp,pixels", "--reference-limit", "0s") == 0
    shown = capsys.readouterr()
    assert "→ mlp-w128-nn · meanstd · hard-fixed@1" in shown.out and "→ pixels · meanstd · ncm@1" in shown.out
    assert "→ mlp-w128-nn · meanstd · ncm@1" not in shown.out and "→ pixels · meanstd · hard-fixed@1" not in shown.out
    assert "hard-fixed@1 does not evaluate pixels" in shown.err and "ncm@1 does not evaluate mlp-w128-nn" in shown.err


def test_an_unknown_student_is_a_usage_error(run, capsys):
    assert run("--eval-archs", "pixel") == 2
    assert "unknown architecture 'pixel'" in capsys.readouterr().err


def test_its_artifacts_are_built_and_enter_the_key(run, tmp_path, capsys):
    text = (
        NCM
        + """
def build(ctx, folder, params):
    (folder / "teacher.txt").write_text("wise")

@hookimpl
def ddbench_register_artifacts(registry):
    registry.add(ArtifactKind("wisdom", 1, "ddbench:Params", "ncm_e2e:build", "a teacher"))
"""
    )
    params = (
        "def artifacts(self, evaluation): return {'teacher': ArtifactSpec(kind='wisdom', data=evaluation.cell.data)}"
    )
    fit = "artifacts.note('teacher', (artifacts.artifact('teacher') / 'teacher.txt').read_text())"
    assert run("--reference-limit", "0s", params=params, fit=fit, text=text) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("eval/*.json")]
    own = [record for record in records if record["spec"]["eval"]["protocol"] == "ncm"]
    assert own and all(
        record["metrics"]["teacher"] == "wise" and len(record["spec"]["eval"]["artifacts"]) == 1 for record in own
    )
    capsys.readouterr()
    assert run("--reference-limit", "0s", params=params, fit=fit, text=text, record=RECORD) == 0
    assert "teacher" not in capsys.readouterr().err


def test_a_student_left_in_train_mode_fails_the_evaluation_and_names_the_protocol(run, capsys):
    fit = "model = make_model(seed); return lambda batch: model(batch).detach()"
    assert run("--reference-limit", "0s", fit=fit, record="students=()") == 1
    shown = capsys.readouterr()
    assert "in train mode: `fit` must call model.eval() before it returns" in shown.out
    assert "the predictor of protocol ncm@1 runs a" in shown.out


def test_it_chooses_a_learning_rate_on_val_when_it_says_so(run, tmp_path):
    assert run("--reference-limit", "0s", record="{'lr': (.1, .01)}, chooses_lr=True") == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("eval/*.json")]
    own = [r["selection"] for r in records if r["spec"]["eval"]["protocol"] == "ncm"]
    assert {selection["tried"] for selection in own} == {1, 2}, "repetition 0 tries both, the other reuses"


def test_predictions_that_are_nan_fail_the_evaluation_and_no_accuracy_is_recorded(run, tmp_path, capsys):
    assert run("--reference-limit", "0s", fit="means = means * float('nan')") == 1
    assert "gives logits that are NaN or infinite" in capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("eval/*.json")]
    own = [record for record in records if record["spec"]["eval"]["protocol"] == "ncm"]
    assert own and all((record["status"], record["metrics"]) == ("nan", {}) for record in own)
