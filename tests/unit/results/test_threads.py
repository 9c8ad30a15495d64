"""Sums of another number of threads are rounded otherwise: tables, files and commands say with how many."""

from __future__ import annotations

import pytest

from ddbench.core.store.jsonl import read_records
from ddbench.publish.page import page
from ddbench.publish.text.captions import legend
from ddbench.results.tables.tables import tables_of
from tests.e2e.runs import ddbench
from tests.factories import cell, placed

MIXED = "computed with several numbers of CPU threads, which round differently: "


def made(method, sets, students=1, device="cpu", **fields):
    """Three repetitions whose sets, and whose students, had so many threads."""
    records = cell(method, [50.0, 51.0, 52.0], **fields)
    for record in records:
        record.env = {"device": device, "threads": sets if record.kind == "condense" else students}
    return records


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("random", 1, 1), ("dm", 1, 1)], ""),
        ([("random", 1, 2), ("dm", 1, 2)], ""),  # another network than the condensing one may be a wide one
        ([("full", 2, 1), ("random", 1, 1)], ""),  # nothing is computed for the set of a reference
        ([("random", 1, 1), ("dm", 2, 1)], f"{MIXED}sets: 1: random; 2: dm"),
        ([("random", 1, 1), ("dm", 1, 2)], f"{MIXED}students: 1: random; 2: dm"),
        (
            [("random", 1, 1), ("dm", 2, 2), ("mtt", 2, 1)],
            f"{MIXED}sets: 1: random; 2: dm, mtt; students: 1: random, mtt; 2: dm",
        ),
    ],
)
def test_a_table_says_which_rows_had_other_numbers_of_threads(rows, told):
    (table,) = tables_of([record for method, sets, students in rows for record in made(method, sets, students)])
    assert table.threads == told
    assert (told in legend(table)) == bool(told)


def test_repetitions_of_one_row_that_differ_are_told_and_those_of_a_gpu_are_not():
    records = made("dm", 1)
    records[0].env["threads"] = 2
    assert tables_of(records)[0].threads == f"{MIXED}sets: 1 and 2: dm"
    assert tables_of([*made("random", 4, device="cuda"), *made("dm", 1, device="cuda")])[0].threads == ""


def test_a_file_of_records_mixes_no_numbers_of_threads_unless_that_is_asked_for(tmp_path, fresh_home, capsys):
    placed(tmp_path / "runs", [*made("random", 1), *made("dm", 2)])
    export = ("results", "export", "--all", "--out", tmp_path / "runs", "--to", tmp_path / "a.jsonl")
    assert ddbench(*export) == 2
    told = capsys.readouterr().err
    assert f"{MIXED}sets: 1: random; 2: dm" in told and "--mixed-threads" in told
    assert not (tmp_path / "a.jsonl").exists()
    assert ddbench(*export, "--mixed-threads") == 0
    assert MIXED in capsys.readouterr().err
    assert tables_of(read_records(tmp_path / "a.jsonl"))[0].threads
    placed(tmp_path / "same", [*made("random", 2), *made("dm", 2, 2)][:6])
    assert ddbench(*export[:4], tmp_path / "same", "--to", tmp_path / "b.jsonl") == 0


def test_the_line_that_makes_a_cell_again_has_the_threads_of_its_records():
    two, one, mixed = (page(records, title="t", sources=["a"]) for records in (
        made("dm", 2, 2), made("dm", 1, 1), made("dm", 2, 1)
    ))  # fmt: skip
    assert "--eval-seeds 1 --threads 2" in two and "--threads 1" not in two
    assert "--eval-seeds 1 --threads 1" in one and "--threads 2" not in one
    assert "its records mix numbers of threads" in mixed and "its records mix" not in one + two
    assert "--threads" not in page(made("dm", 8, 8, device="cuda"), title="t", sources=["a"])
