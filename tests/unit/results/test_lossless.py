"""The lossless verdict from records: which students were right about which test images."""

from __future__ import annotations

import numpy as np
import pytest

from ddbench.core.correctness import pack, unpack
from ddbench.publish.views.catalog import views_of
from ddbench.results.scores.lossless import claims_of
from ddbench.results.tables.tables import tables_of
from tests.factories import pair

T, TENFOLD = 3000, 10
SIX = range(6)


def hits(right: int, seed: int) -> np.ndarray:
    """Correctness of ``right`` in 300 of the test images, the same hard ones for all but a few."""
    wrong = np.random.default_rng(seed).permutation(40 * TENFOLD)[: T - TENFOLD * right]
    found = np.ones(T, dtype=bool)
    found[wrong] = False
    return found


def rows(method, right, *, repetitions=SIX, protocol="hard-long", told=True, seed=0, **fields):
    records = []
    for r in repetitions:
        correct = hits(right, seed=seed + r)
        metrics = {"correct": pack(correct)} if told else {}
        records += pair(method, 100 * correct.mean(), r=r, protocol=protocol, metrics=metrics, n_test=T, **fields)
    return records


FULL = rows("full", 290) + rows("full", 285, protocol="real") + rows("random", 280, protocol="real", ipc=24)


def found(*records, row="dm", protocol="hard-long@1"):
    tables = tables_of([*FULL, *(record for part in records for record in part)])
    table = next(table for table in tables if table.setting.protocol == protocol)
    return next(one for one in claims_of(table, tables) if one.row == row)


def test_a_set_as_good_as_each_full_on_the_same_images_is_lossless():
    claim = found(rows("dm", 290, ipc=24))
    assert (claim.verdict, claim.n, set(claim.against)) == ("lossless", 6, {"hard-long@1", "real@1"})
    own = claim.against["hard-long@1"]
    assert own.crossed.difference == pytest.approx(0.0)
    assert own.margin == pytest.approx(0.1 * (100 - 100 * 290 / 300))
    assert claim.against["real@1"].margin == pytest.approx(0.5)


def test_a_set_that_is_as_good_as_one_full_alone_is_not_lossless():
    """285 right are what full has under real, and five images below full under its own protocol."""
    claim = found(rows("dm", 286, ipc=24))
    assert (claim.verdict, claim.hardest) == ("not shown", "hard-long@1")
    assert claim.against["real@1"].p < 0.05 < claim.against["hard-long@1"].p
    assert claim.against["hard-long@1"].crossed.difference == pytest.approx(-100 * 4 / 300)


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
    claim = found(records)
    assert claim.verdict == "not shown"
    assert why in claim.why
    assert claim.found is None


def test_full_must_have_been_measured_under_both_protocols():
    tables = tables_of(rows("full", 290) + rows("dm", 290, ipc=24))
    (claim,) = claims_of(tables[0], tables)
    assert claim.why == "full was not measured under real@1"
    tables = tables_of(rows("full", 290, protocol="real") + rows("dm", 290, ipc=24) + rows("dm", 1, protocol="real"))
    table = next(table for table in tables if table.setting.protocol == "hard-long@1")
    assert claims_of(table, tables)[0].why == "full was not measured under hard-long@1"


def test_full_is_found_for_another_student_than_the_condensing_network():
    student = {"eval_arch": "mlp-w128-nn"}
    records = rows("full", 290, **student) + rows("full", 285, protocol="real", **student)
    records += rows("random", 280, protocol="real", ipc=24, **student) + rows("dm", 290, ipc=24, **student)
    tables = tables_of(records)
    claims = [one for table in tables for one in claims_of(table, tables) if one.row == "dm"]
    assert [one.verdict for one in claims] == ["lossless"]


def test_where_students_follow_their_own_recipe_the_full_that_suits_real_data_is_all():
    native = {"protocol": "native", "ipc": 24}
    twin = rows("random", 288, label="random (recipe of dm)", **native)
    claim = found(rows("dm", 288, **native), twin, protocol="native@1")
    assert (claim.verdict, set(claim.against)) == ("lossless", {"real@1"})
    other = found(rows("dm", 288, preprocess="zca-kornia", **native), rows("dm", 288, **native), protocol="native@1")
    assert (other.verdict, other.why) == ("not shown", "full was not measured under real@1"), "another space"


@pytest.mark.parametrize(("made", "verdict"), [(1000, "lossless"), (999, "not shown")])
def test_a_set_whose_recipe_was_cut_is_not_shown_to_be_lossless(made, verdict):
    native = {"protocol": "native", "ipc": 24, "updates": made}
    records = rows("dm", 288, **native)
    for record in records:
        if record.kind == "evaluation":
            record.metrics["recipe_updates"] = 1000
    claim = found(records, protocol="native@1")
    assert (claim.verdict, claim.why) == (verdict, "" if made == 1000 else "its recipe was cut to 999 of 1,000 updates")


def test_controls_stand_beside_the_claims_and_make_their_family_no_larger():
    native = {"protocol": "native", "ipc": 24}
    parts = [rows("dm", 288, seed=50, ipc=24), rows("random", 290, ipc=24), rows("dm", 290, ipc=24, label="dm (0 steps)"),
             rows("random_soft", 288, **native), rows("random", 288, label="random (recipe of dm)", **native)]  # fmt: skip
    alone, beside = found(parts[0]), found(*parts)
    assert alone.found == beside.found is not None
    for row, protocol in (("random", "hard-long@1"), ("dm (0 steps)", "hard-long@1"), ("random_soft", "native@1")):
        claim = found(*parts, row=row, protocol=protocol)
        assert (claim.verdict, claim.found) == (None, None)
        assert claim.against


def test_verdicts_are_adjusted_for_all_claims_of_a_page():
    one = rows("dm", 290, seed=50, ipc=24)
    plain = found(one).found
    more = found(one, rows("dc", 250, ipc=24), rows("dm", 250, ipc=24, protocol="native")).found
    assert plain.p > 0
    assert more.p == pytest.approx(min(1.0, 3 * plain.p))
    assert more.power < plain.power


def test_the_view_says_what_decides():
    views = views_of(
        tables_of(FULL + rows("dm", 290, ipc=24) + rows("dm", 290, ipc=24, protocol="native")), ["lossless"]
    )
    hard, native = views
    assert hard.grid[0] == [
        "method", "budget", "top-1 %", "n", "full", "minus full", "lower end", "δ", "p (Holm)", "power", "verdict"
    ]  # fmt: skip
    assert (hard.grid[1][0], hard.grid[1][-1]) == ("dm", "lossless")
    assert "against each of: full under hard-long@1 and real@1; one-sided" in hard.notes[0]
    assert "against each of: full under real@1; one-sided" in native.notes[0]
    assert all("adjusted for the 2 claims of this report (Holm)" in view.notes[0] for view in views)
    assert ("hard-long@1" in hard.caption, "native@1" in native.caption) == (True, True)
    assert any("--controls adds random_soft" in note for note in native.notes)


def test_what_a_reader_must_know_of_a_row_stands_below_the_claim_about_it():
    records = [*FULL, *rows("dm", 290, ipc=24, protocol="native", warnings=["cut from 4004 to 3000 updates"])]
    (view,) = views_of(tables_of(records), ["lossless"])
    assert "dm: cut from 4004 to 3000 updates" in view.notes


def test_claims_about_runs_that_hardly_moved_are_worded_as_run():
    records = rows("dm", 290, seed=50, ipc=24)
    records[0].metrics["accepted_steps"] = 49
    (view,) = views_of(tables_of([*FULL, *records, *rows("dc", 250, ipc=24)]), ["lossless"])
    assert [row[-1] for row in view.grid[1:]] == ["lossless (as run)", "not shown"]


def test_without_the_protocol_there_is_nothing_to_show():
    (view,) = views_of(tables_of(pair("dm")), ["lossless"])
    assert view.grid == []
    assert "the claim needs full under hard-long@2 and real@1 for sets under hard-long@2" in view.notes[0]


@pytest.mark.parametrize("n", [1, 8, 9, 300])
def test_correctness_survives_being_text(n):
    given = np.random.default_rng(n).random(n) < 0.5
    assert np.array_equal(unpack(pack(given), n), given)


@pytest.mark.parametrize("text", ["////", "no base64!", ""])
def test_text_of_another_length_is_refused(text):
    with pytest.raises(ValueError, match="correctness"):
        unpack(text, 300)
