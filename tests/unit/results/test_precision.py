"""What was trained in bfloat16 is a row of its own, which tables tell, and `full` in float32 is what counts."""

from __future__ import annotations

from ddbench.core.documents import parse
from ddbench.results.scores.scores import full_of
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, key_of

POOL = {"experts": ["experts", "e" * 64]}


def in_bf16(records, *, student=False, artifacts=()):
    """The same records of another key, trained so."""
    for record in records:
        content = record.document.model_dump(mode="json")
        content.get("set", content)["bf16"] = list(artifacts)
        if student and record.kind == "evaluation":
            content["eval"]["precision"] = "bf16"
        record.document, record.key = parse(content), key_of("bf16", record.key)
        record.env = {"engine": "bf16" if student and record.kind == "evaluation" else "fused"}
    return records


def rows_of(records):
    (table,) = tables_of(records)
    return table, [row.label for row in table.rows]


def run(full=(97.0, 98.0, 99.0)):
    return [
        *in_bf16(cell("full", full), student=True),
        *cell("random", [41.0, 43.0, 45.0]),
        *in_bf16(cell("mtt", [55.0, 56.0, 57.0], artifacts=POOL), artifacts=["experts"]),
    ]


def test_a_table_tells_what_was_trained_so_in_a_line():
    table, labels = rows_of(run())
    assert labels == ["full", "random", "mtt"]
    assert table.in_bf16 == "trained in bfloat16: full; experts of mtt"
    assert table.engines == "", "what is told so is no mixture"
    assert rows_of(cell("mtt", [55.0, 56.0]))[0].in_bf16 == ""


def test_both_precisions_are_two_rows_and_scores_look_at_full_in_float32():
    half = run()
    table, labels = rows_of([*half, *cell("full", [90.0, 90.0, 90.0]), *cell("mtt", [50.0, 51.0, 52.0])])
    assert labels[:2] == ["full [precision=fp32]", "full [precision=bf16]"]
    assert {"mtt [precision=fp32]", "mtt [precision=bf16]"} <= set(labels)
    assert full_of(table).summary.mean == 90.0
    alone = rows_of(half)[0]
    assert full_of(alone).summary.mean == 98.0


def test_a_failed_training_rests_on_nothing():
    table, _ = rows_of([*in_bf16(cell("full", [None, None]), student=True), *cell("random", [41.0, 43.0])])
    assert table.in_bf16 == ""
