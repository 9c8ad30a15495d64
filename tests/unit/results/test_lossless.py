"""The lossless verdict from records: which students were right about which test images."""

from __future__ import annotations

import numpy as np
import pytest

from ddbench.core.correctness import pack, unpack
from ddbench.publish.views.catalog import views_of
from ddbench.results.scores.lossless import claims_of
from ddbench.results.tables.tables import tables_of
from tests.factories import pair

T = 300
SIX = range(6)


def hits(right: int, seed: int) -> np.ndarray:
    """Correctness of ``right`` of the test images, the same hard ones for all but a few."""
    wrong = np.random.default_rng(seed).permutation(40)[: T - right]
    found = np.ones(T, dtype=bool)
    found[wrong] = False
    return found


def rows(method, right, *, repetitions=SIX, protocol="hard-long", told=True, **fields):
    records = []
    for r in repetitions:
        correct = hits(right, seed=r)
        metrics = {"correct": pack(correct)} if told else {}
        records += pair(method, 100 * correct.mean(), r=r, protocol=protocol, metrics=metrics, **fields)
    return records


FULL = rows("full", 290) + rows("full", 285, protocol="real") + rows("random", 280, protocol="real", ipc=24)


def claim(*records, row="dm"):
    tables = tables_of([*FULL, *(record for part in records for record in part)])
    table = next(table for table in tables if table.setting.protocol == "hard-long@1")
    return next(found for found in claims_of(table, tables) if found.row == row)


def test_a_set_as_good_as_full_on_the_same_images_is_lossless():
    found = claim(rows("dm", 290, ipc=24))
    assert (found.verdict.verdict, found.verdict.best_full, found.n) == ("lossless", "hard-long@1", 6)
    assert found.verdict.interval is not None
    assert found.verdict.interval.estimate == pytest.approx(0.0)
    assert found.verdict.margin == pytest.approx(0.1 * (100 - 100 * 290 / 300))


def test_a_worse_set_is_not_shown_to_be():
    found = claim(rows("dm", 280, ipc=24))
    assert found.verdict.verdict == "not shown"
    assert found.verdict.interval is not None
    assert found.verdict.interval.estimate == pytest.approx(-100 * 10 / 300)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (rows("dm", 290, ipc=24, repetitions=range(5)), "fewer than 6 repetitions"),
        (rows("dm", 290, ipc=24, told=False), "no repetition of which records say which test images were right"),
        (rows("dm", 290, ipc=24, artifacts={"experts": ("experts", "e" * 64)}), "share one artifact (experts)"),
        (rows("dm", 290, ipc=24, one_set=True), "share one set"),
    ],
)
def test_what_the_claim_lacks_is_said(records, why):
    found = claim(records).verdict
    assert found.verdict == "not shown"
    assert why in found.why
    assert found.interval is None


def test_full_must_have_been_measured_under_both_protocols():
    tables = tables_of(rows("full", 290) + rows("dm", 290, ipc=24))
    (found,) = claims_of(tables[0], tables)
    assert found.verdict.why == "full was not measured under real@1"


def test_full_is_found_for_another_student_than_the_condensing_network():
    student = {"eval_arch": "mlp-w128-nn"}
    records = rows("full", 290, **student) + rows("full", 285, protocol="real", **student)
    records += rows("random", 280, protocol="real", ipc=24, **student) + rows("dm", 290, ipc=24, **student)
    tables = tables_of(records)
    found = [one for table in tables for one in claims_of(table, tables) if one.row == "dm"]
    assert [one.verdict.verdict for one in found] == ["lossless"]


def test_the_view_says_what_decides():
    (view,) = views_of(tables_of(FULL + rows("dm", 290, ipc=24)), ["lossless"])
    assert view.grid[0] == [
        "method", "budget", "top-1 %", "n", "minus best full", "95 % interval", "margin", "verdict", "why"
    ]  # fmt: skip
    assert view.grid[1][0] == "dm"
    assert view.grid[1][-2:] == ["lossless", "–"]
    assert "best full here: under hard-long@1" in view.notes


def test_without_the_protocol_there_is_nothing_to_show():
    (view,) = views_of(tables_of(pair("dm")), ["lossless"])
    assert view.grid == []
    assert "the claim needs hard-long@2" in view.notes[0]


@pytest.mark.parametrize("n", [1, 8, 9, 300])
def test_correctness_survives_being_text(n):
    given = np.random.default_rng(n).random(n) < 0.5
    assert np.array_equal(unpack(pack(given), n), given)


@pytest.mark.parametrize("text", ["////", "no base64!", ""])
def test_text_of_another_length_is_refused(text):
    with pytest.raises(ValueError, match="correctness"):
        unpack(text, 300)
