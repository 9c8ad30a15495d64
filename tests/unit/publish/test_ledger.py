"""The reproduction ledger: what counts as a run of a published number, the verdicts, and the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.specs import Budget
from ddbench.core.store.jsonl import write_records
from ddbench.models.names import parse
from ddbench.plan.presets import choose
from ddbench.publish.leaderboard import fresh
from ddbench.publish.ledger import Ours, Published, Sources, distance, ledger, lines_of, read_published, verdict, within
from ddbench.publish.text.render import markdown_grid
from ddbench.results.tables.protocols import OURS
from tests.factories import cell, change, key_of, keyed

ROOT = Path(__file__).parents[3]
ARCH = "convnet3-w128-in"
ENTRY = {
    "method": "dc", "arch": {"default": ARCH}, "protocol": "hard@1", "source": "a table", "over": "5 sets",
    "deltas": "other shoes", "numbers": {"digits": {1: [70.0, 0.5], 10: [80.0, None]}},
}  # fmt: skip


def params(ipc=1, **changed):
    given = choose(installed().methods.get("dc"), "digits", Budget(ipc=ipc), "paper").params
    return params_class(installed().methods.get("dc"))(**given).model_dump(mode="json") | changed


def runs(scores, *, split="paper", ipc=1, **fields):
    records = cell("dc", scores, ipc=ipc, **{"arch": ARCH, "params": params(ipc), "profile": "paper", **fields})
    for record in records:
        change(record, data={"split": split})
        record.key = key_of(record.key, split)
    return records


def entry(**changed):
    return Published.model_validate({**ENTRY, **changed})


def sources(*entries, **fields):
    return Sources(published=entries or (entry(),), **fields)


def said(records, **changed):
    lines = lines_of(sources(entry(**changed)), records)
    return [verdict(line.theirs, line.ours) for line in lines]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([69.9, 70.0, 70.1], "reproduced"),
        ([70.9, 71.0, 71.1], "reproduced"),  # at the edge of 70 ± 2 · 0.5
        ([71.4, 71.5, 71.6], "not reproduced"),  # 71.5 ± 0.25 lies outside
        ([68.4, 68.5, 68.6], "not reproduced"),
        ([71.1, 71.2, 71.3], "open (our interval is too wide)"),  # 71.2 ± 0.25 reaches inside
        ([60.0, 70.0, 80.0], "open (our interval is too wide)"),  # it would hold everything
        ([70.0, 70.0], "open (needs 3 repetitions)"),
    ],
)
def test_a_number_is_reproduced_within_two_sd_by_an_interval_no_wider_than_that(scores, expected):
    assert said(runs(scores)) == [expected]


def test_without_a_published_sd_our_interval_must_hold_the_mean():
    assert said(runs([80.0, 80.1, 79.9], ipc=10)) == ["reproduced"]
    assert said(runs([80.5, 80.6, 80.4], ipc=10)) == ["not reproduced"]


def test_fewer_iterations_give_a_curve_and_no_verdict():
    few = [runs([40.0], params=params(iterations=k)) for k in (0, 25, 100)]
    (line,) = lines_of(sources(), [record for group in few for record in group])
    assert sorted(line.ours.runs) == [0, 25, 100]
    assert verdict(line.theirs, line.ours) == "partial (100 of 1000 iterations)"
    all_of_them = [*few[0], *runs([70.0, 70.0, 70.1])]
    assert said(all_of_them) == ["reproduced"]


def test_condensing_from_less_than_train_and_val_stays_open():
    assert said(runs([70.0, 70.1, 69.9], split="default")) == ["open (needs --split paper)"]
    both = [*runs([70.0, 70.1, 69.9]), *runs([10.0, 10.1, 9.9], split="default")]
    assert said(both) == ["reproduced"]


@pytest.mark.parametrize(
    "changed",
    [
        {"params": params(lr_img=0.2)},
        {"params": params(iterations=2000)},
        {"arch": "convnet3-w32-in"},
        {"eval_arch": "mlp"},
        {"protocol": "hard-fixed"},
        {"preprocess": "zca-kornia"},
        {"profile": "short"},
        {"profile": "smoke"},
        {"source": "imported"},
        {"status": "timeout"},
        {"kind": "reference"},
        {"params": {"iterations": 1000}, "ipc": 10},
    ],
)
def test_other_settings_are_no_reproduction(changed):
    assert lines_of(sources(), runs([70.0, 70.0, 70.0], **changed)) == []


def test_the_net_that_was_condensed_with_counts_too():
    records = runs([70.0, 70.0, 70.0])
    for record in records:
        change(record, cell={"arch": "convnet3-w32-in"})
    assert lines_of(sources(), records) == []


def test_sets_of_an_earlier_version_of_the_method_do_not_count():
    records = runs([70.0, 70.0, 70.0])
    for record in records:
        change(record, cell={"method_version": 0})
    assert lines_of(sources(), records) == []


def test_a_record_counts_once_and_master_seeds_are_repetitions_of_their_own():
    records = runs([70.0, 70.1])
    (line,) = lines_of(sources(), [*records, *records])
    assert line.ours.summary(1000).n == 2
    other = runs([69.9])
    for record in other:
        record.key = "f" + record.key[1:]
        if record.kind == "evaluation":
            change(record, eval={"master": 7})
    (line,) = lines_of(sources(), [*records, *other])
    assert line.ours.summary(1000).n == 3


def test_a_view_of_the_data_is_no_reproduction():
    records = runs([70.0, 70.0, 70.0])
    for record in records:
        change(record, data={"view": [{"train_size": 100}]})
    assert lines_of(sources(), records) == []


def test_paper_runs_without_a_published_number_have_no_reference():
    lines = lines_of(sources(), runs([70.0, 70.0, 70.0], ipc=5, params=params(5)))
    assert [(line.where, verdict(line.theirs, line.ours)) for line in lines] == [("digits, ipc 5", "no reference")]


def test_protocols_and_students_without_a_published_number_are_not_mixed():
    records = [
        *runs([50.0], ipc=5, params=params(5)),
        *runs([70.0], ipc=5, params=params(5), protocol="dc2021"),
        *runs([20.0], ipc=5, params=params(5), eval_arch="mlp-w128-nn"),
    ]
    lines = lines_of(sources(), records)
    assert [line.how for line in lines] == [
        "dc2021@1, convnet3-w128-in, meanstd", "hard@1, convnet3-w128-in → mlp-w128-nn, meanstd",
        "hard@1, convnet3-w128-in, meanstd",
    ]  # fmt: skip
    assert [line.ours.summary(1000).mean for line in lines] == [70.0, 20.0, 50.0]


def test_a_copy_of_the_data_counts_only_where_the_file_says_that_its_pixels_are_the_same():
    records = runs([70.0, 70.0, 70.0])
    for record in records:
        change(record, data={"name": "digits-original"})
    assert [line.theirs for line in lines_of(sources(), records)] == [None], "a name that begins alike says nothing"
    same = sources(pixels_of={"digits-original": {"dataset": "digits", "note": "in another order"}})
    (line,) = lines_of(same, records)
    assert (line.where, verdict(line.theirs, line.ours)) == ("digits, ipc 1", "reproduced")
    assert "digits-original: in another order" in ledger(same, records, markdown_grid)
    assert "in another order" not in ledger(same, runs([70.0, 70.0, 70.0]), markdown_grid)


@pytest.mark.parametrize(
    ("scores", "apart", "near"),
    [([71.0], 1.0, True), ([69.0], 1.0, True), ([71.1], 1.1, False), ([68.0, 70.0, 71.0], 0.333333333, True)],
)
def test_a_line_says_how_far_apart_the_means_are(scores, apart, near):
    (line,) = lines_of(sources(), runs(scores))
    assert distance(line.theirs, line.ours) == pytest.approx(apart)
    assert within(line.theirs, line.ours) is near
    (line,) = lines_of(sources(), runs([79.0], ipc=10))
    assert (distance(line.theirs, line.ours), within(line.theirs, line.ours)) == (1.0, None), "no published sd"


def test_an_entry_of_another_version_of_a_protocol_says_so():
    text = ledger(sources(entry(protocol="hard@97")), _under(97, runs([70.0])), markdown_grid)
    assert f"ours under hard@97 (ddbench has hard@{OURS['hard'].version}: waits for new runs)" in text


def _under(version, records):
    for record in records:
        if record.kind == "evaluation":
            change(record, eval={"protocol_version": version})
    return records


def test_repetitions_are_means_over_their_students():
    ours = Ours(10)
    for r, top1 in ((0, 60.0), (0, 62.0), (1, 70.0)):
        ours.add(10, True, (0, r), top1)
    found = ours.summary(10)
    assert (found.mean, found.n) == (65.5, 2)


def test_the_page_is_made_from_records_and_says_what_was_not_run(tmp_path):
    (tmp_path / "published.yaml").write_text(yaml.safe_dump({"published": [ENTRY]}))
    write_records(tmp_path / "a.jsonl", keyed(runs([41.0], params=params(iterations=25))))
    write_records(tmp_path / "b.jsonl", keyed(runs([69.9, 70.0, 70.1])))
    page = tmp_path / "reproduction.md"
    page.write_text(
        "# Ledger\n\n<!-- ddbench:ledger published=published.yaml records=a.jsonl,b.jsonl -->\n<!-- ddbench:end -->\n"
    )
    _, text = fresh(page)
    assert (
        "| dc ¹ ² ³ | digits, ipc 1 | 70.0 ± 0.5 | 25: 41.0 (1) → 70.0 ± 0.1 [69.8, 70.2] (3) |   0.0 |         yes | reproduced |"
        in text
    )
    assert "\n¹ dc: a table; ± over 5 sets; ours under hard@1" in text
    assert "<br>\n² other shoes<br>\n³ 3 repetitions × 1 student\n" in text
    assert "| dc     | digits |  10 |      80.0 | a table |" in text


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("<!-- ddbench:ledger records=a.jsonl -->", "the field published=PATH is missing"),
        ("<!-- ddbench:ledger published=p.yaml records=a.jsonl datasets=x -->", "unknown field 'datasets'"),
        ("<!-- ddbench:ledger published=gone.yaml records=a.jsonl -->", "published numbers"),
    ],
)
def test_bad_markers_are_refused(tmp_path, marker, problem):
    write_records(tmp_path / "a.jsonl", keyed(runs([41.0])))
    page = tmp_path / "page.md"
    page.write_text(f"{marker}\n<!-- ddbench:end -->\n")
    with pytest.raises(UsageError, match=problem):
        fresh(page)


def test_the_committed_numbers_are_those_of_known_methods_and_budgets():
    """A published cell without a preset of its own would be compared with other settings."""
    published = read_published(ROOT / "leaderboards" / "published.yaml").published
    assert {entry.method for entry in published} >= {"dc", "dsa", "dm", "idc", "mtt", "tesla", "ftd", "datm"}
    for found in published:
        info = installed().methods.get(found.method)
        for dataset, numbers in found.numbers.items():
            for ipc, (mean, sd) in numbers.items():
                assert 0 < mean < 100 and (sd is None or 0 < sd < 4)
                preset = choose(info, dataset, Budget(ipc=ipc), "paper")
                smaller = preset.note and not (found.method == "dm" and ipc > 100)  # one setting for 100 … 1250
                assert not smaller and (preset.source or info.name == "random"), (found.method, dataset, ipc)
                student = found.place(dataset, ipc)[0]
                known = {name for protocol in installed().protocols for name in protocol.students}
                assert student in known or parse(student, installed().architectures).canonical == student


def test_the_committed_numbers_are_those_of_the_specification():
    """Typed again from the papers' tables, so that a slip of the hand in the file shows."""
    published = read_published(ROOT / "leaderboards" / "published.yaml").published
    means = {
        (entry.name, dataset): tuple(mean for mean, _ in numbers.values())
        for entry in published
        for dataset, numbers in entry.numbers.items()
    }
    assert means["dm", "cifar10"] == (26.0, 48.9, 63.0, 67.0, 71.2, 76.1, 79.8, 80.8)
    assert means["idc", "cifar10"] == (50.6, 67.5, 74.5)
    assert means["idc (pixels)", "mnist"] == (88.9, 98.0, 98.8)
    assert means["mtt", "cifar10"] == (46.2, 65.4, 71.6)
    assert means["ftd", "cifar10"] == (46.8, 66.6, 73.8)
    assert means["datm", "cifar10"] == (46.9, 66.8, 76.1, 83.5, 85.5)
    assert means["datm", "tinyimagenet"] == (17.1, 31.1, 39.7)


TYPED_AGAIN = """
dc mnist 91.7±.5 97.4±.2 98.8±.1
dc fashionmnist 70.5±.6 82.3±.4 83.6±.4
dc svhn 31.2±1.4 76.1±.6 82.3±.3
dc cifar10 28.3±.5 44.9±.5 53.9±.5
dc cifar100 12.8±.3 25.2±.3
dsa mnist 88.7±.6 97.8±.1 99.2±.1
dsa fashionmnist 70.6±.6 84.6±.3 88.7±.2
dsa svhn 27.5±1.4 79.2±.5 84.4±.4
dsa cifar10 28.8±.7 52.1±.5 60.6±.5
dsa cifar100 13.9±.3 32.3±.3 42.8±.4
dm cifar10 26.0±.8 48.9±.6 63.0±.4 67.0±.3 71.2±.4 76.1±.3 79.8±.3 80.8±.3
dm cifar100 11.4±.3 29.7±.3 43.6±.4
dm tinyimagenet 3.9±.2 12.9±.4 24.1±.3
idc mnist 94.2 98.4 99.1
idc fashionmnist 81.0 86.0 86.2
idc svhn 68.5 87.5 90.1
idc cifar10 50.6 67.5 74.5
idc cifar100 45.1
random cifar10 14.4±2.0 26.0±1.2 43.4±1.0
random cifar100 4.2±.3 14.6±.5 30.0±.4
random tinyimagenet 1.4±.1 5.0±.2 15.0±.4
herding cifar10 21.5±1.2 31.6±.7 40.4±.6
herding cifar100 8.4±.3 17.3±.3 33.7±.5
herding tinyimagenet 2.8±.2 6.3±.2 16.7±.3
"""


@pytest.mark.parametrize("line", TYPED_AGAIN.split("\n")[1:-1])
def test_the_matching_and_selection_rows_are_those_of_the_tables_typed_again(line):
    name, dataset, *cells = line.split()
    found = {entry.name: entry for entry in read_published(ROOT / "leaderboards" / "published.yaml").published}[name]
    typed = [tuple(float(part) for part in cell.split("±")) for cell in cells]
    assert [(mean,) if sd is None else (mean, sd) for mean, sd in found.numbers[dataset].values()] == typed
