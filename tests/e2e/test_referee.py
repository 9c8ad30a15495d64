"""`results verify --records`: what a file of records tells of is made again from the file alone."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from ddbench.core.correctness import pack
from ddbench.core.plugin.loader import installed
from ddbench.core.store.files import home
from ddbench.core.store.jsonl import read_records
from ddbench.plan.remake import plan_again, speeds_recorded
from ddbench.plan.speeds import Speeds
from tests.e2e.runs import PLUGIN, SMOKE, ddbench
from tests.factories import change

RUN = (
    "--methods", "random,dm,kmeans_soft", "--ipc", "1", "--seeds", "3", "--set", "dm.iterations=2",
    "--protocols", "hard,native", "--engine", "eager",
)  # fmt: skip
DM = "dm (iterations=2)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The file of records of a run: a reference, controls, twins, an artifact, a set that starts from another row's."""
    folder = tmp_path_factory.mktemp("referee")
    assert ddbench("run", *RUN, "--out", folder / "runs", *SMOKE) == 0
    file = folder / "told.jsonl"
    assert ddbench("results", "export", "--all", "--out", folder / "runs", "--to", file) == 0
    return file


@pytest.fixture
def file(made, tmp_path):
    return shutil.copy(made, tmp_path / "told.jsonl")


def rows(text):
    """Set and verdict of each line of the table, by its first column."""
    lines = [[part.strip() for part in line.split("  ") if part.strip()] for line in text.splitlines() if " · " in line]
    return {line[0]: (line[2], line[-1]) for line in lines}


def referee(file, *more):
    return ddbench("results", "verify", "--records", file, *more)


def edited(file, edit):
    """Records as a forger leaves them: ``edit`` may change each, and no seal is left."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line.pop("seal")
        edit(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_all_that_a_run_made_comes_out_the_same_from_its_records(made, capsys):
    """Results of `full`, which all folders share, are neither taken from there nor written there."""
    shared = home() / "artifacts" / "full"
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*")}
    assert referee(made, "--repetition", "1") == 0
    text = capsys.readouterr()
    found = rows(text.out)
    told = [r for r in read_records(made) if r.kind == "evaluation" and r.status == "ok"]
    assert len(found) == sum(r.evaluation.eval.r == 1 for r in told)
    assert {*found.values()} == {("same", "same")}
    assert f"{len(found)} of {len(found)}: the same set to the bit, and the same test images right" in text.out
    assert {name.split()[0] for name in found} >= {"full", "random", "dm", "kmeans_soft"}
    assert "recorded evaluations; to make: " in text.err
    assert before and {path: path.stat().st_mtime_ns for path in shared.rglob("*")} == before


@pytest.mark.parametrize(
    ("filters", "label", "n"),
    [
        (("--row", "dm", "--protocol", "hard"), "dm (iterations=2) ipc 1", 3),
        (("--row", "full", "--protocol", "hard"), "full", 1),
        (
            ("--row", "DM,random", "--protocol", "hard", "--ipc", "1", "--dataset", "digits", "--repetition", "1"),
            "",
            2,
        ),
    ],
)
def test_filters_name_what_is_made_again(file, tmp_path, capsys, filters, label, n):
    out = tmp_path / "again"
    assert referee(file, *filters, "--out", out) == 0
    found = rows(capsys.readouterr().out)
    assert len(found) == n and all(name.startswith(label) for name in found)
    assert referee(file, *filters, "--out", out) == 0, "a folder that is named keeps what was made"
    assert "to make: nothing" in capsys.readouterr().err
    assert ddbench("results", "compare", out, file) == 1, "what was not made again is missing there"
    assert "only in first" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        (("--row", "datm"), "--row datm: the records have "),
        (("--ipc", "50"), "--ipc 50: the records have 1"),
        (("--files-only",), "--files-only does not go with --records"),
        (("--same",), "--same does not go with --records"),
    ],
)
def test_what_no_record_has_is_a_mistake(file, capsys, filters, told):
    assert referee(file, *filters) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("abcd", "--row", "dm"), ("abcd", "--dry-run")])
def test_either_a_key_or_records(capsys, arguments):
    assert ddbench("results", "verify", *arguments) == 2
    assert "give either KEY, or --records FILE" in capsys.readouterr().err


def test_how_long_it_takes_is_said_and_nothing_is_made(file, tmp_path, capsys):
    edited(file, lambda line: line["spec"].get("set", line["spec"]).update(profile="short"))  # smoke tells no speed
    assert referee(file, "--row", "dm", "--protocol", "hard", "--dry-run", "--out", tmp_path / "again") == 0
    text = capsys.readouterr()
    made, long = text.err.splitlines()
    assert made == "ddbench: 3 recorded evaluations; to make: 4 cells, 4 evaluations"
    assert re.fullmatch(r"ddbench: 8 of \d+ nodes to run, about \d+ s", long), "one forecast, that of a run"
    assert not text.out and not (tmp_path / "again").exists()


def test_what_this_machine_knows_nothing_of_takes_as_long_as_recorded(file):
    edited(file, lambda line: line["spec"].get("set", line["spec"]).update(profile="short"))  # smoke tells no speed
    records = read_records(file)
    wanted = [one for one in records if one.kind == "evaluation" and one.status == "ok"]
    plan, _ = plan_again(wanted, installed())
    speeds = Speeds(last=speeds_recorded(plan, records))
    assert all(speeds.seconds(node) is not None for node in plan.nodes.values()), "artifacts, too"
    assert all(Speeds().seconds(node) is None for node in plan.nodes.values())


def test_a_set_of_other_bits_is_told_and_judged_by_its_accuracy(file, capsys):
    def edit(line):
        if line["spec"]["label"] == DM and line["set_sha256"]:
            line["set_sha256"] = line["set_sha256"][::-1]
            line["env"]["torch"] = "0.1"

    edited(file, edit)
    assert referee(file, "--row", "dm", "--protocol", "hard") == 0
    told = capsys.readouterr().out
    found = rows(told)
    why = "inside: 0 of 300 test images come out otherwise; recorded with another version of torch, so rounding may differ"
    assert len(found) == 3 and {*found.values()} == {("other bits", why)}
    assert "3 of 3: a set of other bits; accuracy inside the interval" in told


def test_a_forgery_that_is_consistent_in_itself_is_found_by_making_it_again(file, capsys):
    def edit(line):
        if line["kind"] == "evaluation" and line["spec"]["label"] == DM and line["metrics"]:
            right = np.ones(300, bool)
            right[: 3 * line["spec"]["eval"]["r"]] = False  # 100, 99 and 98 %
            shares = [100.0 * float(right[labels == c].mean()) for c in range(10)]
            line["metrics"] |= {"top1": 100.0 * float(right.mean()), "correct": pack(right), "per_class": shares}

    labels = labels_of_digits()
    edited(file, edit)
    assert ddbench("results", "compare", file, file) == 0, "nothing in it contradicts itself"
    capsys.readouterr()
    assert referee(file, "--row", "dm", "--protocol", "hard") == 1
    found = rows(capsys.readouterr().out)
    assert len(found) == 3
    assert all(made == "same" and verdict.startswith("outside: ") for made, verdict in found.values())


def labels_of_digits():
    from ddbench.data.dataset import open_data
    from ddbench.work.evaluate.predictions import labels_of_test

    return labels_of_test(open_data("digits", None, "default", "meanstd", installed()).spec)


def test_what_cannot_be_made_here_is_a_row_that_says_why(tmp_path, capsys):
    plugin, out, file = tmp_path / "meanplugin.py", tmp_path / "out", tmp_path / "told.jsonl"
    plugin.write_text(PLUGIN)
    run = ("--plugin", plugin, "--methods", "mean", "--ipc", 1, "--seeds", 1, "--out", out)
    assert ddbench("run", *run, *SMOKE, "--reference-limit", "0", "--engine", "eager") == 0
    assert ddbench("results", "export", "--all", "--plugin", plugin, "--out", out, "--to", file) == 0
    capsys.readouterr()
    assert referee(file, "--row", "mean,random") == 1
    found = rows(capsys.readouterr().out)
    (lost,) = [verdict for name, verdict in found.items() if name.startswith("mean")]
    assert "not made: the plugin of method 'mean' is not here; name its file: --plugin FILE.py" in lost[1]
    assert [verdict for name, verdict in found.items() if name.startswith("random")] == [("same", "same")]
    assert referee(file, "--row", "mean,random", "--dry-run") == 1
    text = capsys.readouterr()
    assert [*rows(text.out).values()] == [lost], "a dry run says what cannot be made, and why"
    assert "; 1 cannot be made here\n" in text.err
    assert referee(file, "--row", "mean", "--plugin", plugin) == 0
    plugin.write_text(PLUGIN.replace("0.1 *", "0.2 *"))
    assert referee(file, "--row", "mean", "--plugin", plugin) == 1
    assert "recorded with another text of the plugin of method 'mean'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("where", "values", "told"),
    [
        ("data", {"revision": "f" * 16}, "the record is of revision ffffffffffffffff: other images or labels"),
        ("data", {"name": "mine"}, "data set 'mine' revision"),
        ("cell", {"method_version": 99}, "recorded with version 99 of method 'dm', "),
        ("cell", {"method": "imported"}, "its set was made elsewhere: `ddbench evaluate FILE`"),
        ("cell", {"params": {"lr_image": 1}}, "dm has other parameters here"),
        ("cell", {"r": 7}, "its key is made of other things"),
        ("eval", {"protocol_version": 9}, "recorded with version 9 of protocol 'hard', 2 is here"),
        ("eval", {"protocol": "gone"}, "the plugin of protocol 'gone' is not here"),
    ],
)
def test_other_data_and_other_versions_are_refused_with_the_version_of_then(made, where, values, told):
    record = next(r for r in read_records(made) if r.kind == "evaluation" and r.document.label == DM)
    change(record, **{where: values})
    plan, refused = plan_again([record], installed())
    assert not plan.nodes
    ((_, why),) = refused.items()
    assert told in why and "(recorded by ddbench " in why


def test_a_folder_that_holds_the_results_themselves_is_refused(made, capsys):
    assert referee(made, "--row", "dm", "--out", made.parent / "runs") == 2
    assert "holds the recorded results themselves" in capsys.readouterr().err
