"""Rows without a result say why: as the node says that is to blame, in its own status."""

from __future__ import annotations

import pytest

from ddbench.core.records import Record, source_of
from ddbench.core.store.folder import CONDENSE, SET, Store, evaluation_path, write_record
from ddbench.plan.collect import collect
from ddbench.plan.status import assess
from ddbench.publish.leaderboard import ordered
from ddbench.results.tables.tables import tables_of
from tests.unit.plan.test_planner import planned

WHEN = "2025-01-01T00:00:00+00:00"


def left(document, status, reason=None, **fields):
    kind = "condense" if document.kind == "cell" else "evaluation"
    return Record(
        key=document.key, kind=kind, status=status, reason=reason, document=document, source=source_of(document),
        started=WHEN, finished=WHEN, **fields,
    )  # fmt: skip


def of_row(made, kind, label, r):
    (found,) = [
        node.document
        for node in made.nodes.values()
        if node.kind == kind and node.document.label == label and (node.document.spec.r == r)
    ]
    return found


@pytest.mark.parametrize("status", ["oom", "timeout", "nan", "failed"])
@pytest.mark.parametrize("kind", ["evaluation", "cell"], ids=["its student", "its set"])
def test_a_row_without_a_learning_rate_has_the_status_of_what_should_have_chosen_it(tmp_path, kind, status):
    made, store = planned(methods=["dm"], protocols=["hard"]), Store(tmp_path)
    condensed, student = (of_row(made, which, "dm", -1) for which in ("cell", "evaluation"))
    folder, why = store.folder(condensed), "no memory at -1"
    path = evaluation_path(folder, student.key)
    path.parent.mkdir(parents=True)
    (folder / SET).touch()
    if kind == "evaluation":
        write_record(folder / CONDENSE, left(condensed, "ok"))
        write_record(path, left(student, status, why))
    else:
        write_record(folder / CONDENSE, left(condensed, status, why))
    assess(made, store)
    found = [one for one in collect(made) if one.kind == "evaluation" and one.document.label == "dm"]
    told = f"{status} at repetition -1, which chooses the learning rate: {why}"
    assert len(found) > 1 and {(one.status, one.reason) for one in found} == {(status, told)}


def test_what_failed_itself_or_never_ran_speaks_for_itself(tmp_path):
    made = planned(methods=["dm"], protocols=["hard"])
    node = next(node for node in made.nodes.values() if node.document == of_row(made, "evaluation", "dm", 0))
    node.record = left(node.document, "oom", "its own")
    told = {one.document.eval.r: (one.status, one.reason) for one in collect(made) if one.document.label == "dm"}
    assert told == {0: ("oom", "its own"), 1: ("skipped", "not yet trained")}


@pytest.mark.parametrize("methods", [["mtt", "kmeans", "dm"], ["dm", "kmeans", "mtt"]])
@pytest.mark.parametrize("controls", [False, True])
def test_records_in_any_order_make_tables_in_the_order_of_their_command(methods, controls):
    def labels(records):
        return [[row.label for row in table.rows] for table in tables_of(records)]

    made = planned(methods=methods, controls=controls, protocols=["hard", "native"])
    records = collect(made)
    assert labels(ordered(records)) == labels(records)
    assert [label for label in labels(records)[0] if label in methods] == methods
