"""Verdicts, bold and places of the methods of a column: who is judged, and what is said below the least n."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.publish.text.captions import caption
from ddbench.publish.text.verdicts import verdict_lines
from ddbench.publish.views.verdicts import verdict_views
from ddbench.results.stats import smallest_n
from ddbench.results.tables.tables import tables_of
from tests.factories import cell

EXPERTS = {"experts": ["experts", "e" * 64]}


def scores(row, mean, n, spread=0.2):
    """Scores around a mean whose differences between rows are no constants."""
    return [mean + r % 3 + spread * ((5 * row + 3 * r * (row + 1)) % 7 - 3) / 3 for r in range(n)]


def ladder(rows, n, step=3.0):
    """``m0`` the worst, each next one ``step`` points above."""
    return [x for row in range(rows) for x in cell(f"m{row}", scores(row, 40 + step * row, n))]


def only(records):
    (table,) = tables_of(records)
    return table


def bold(table, column=0):
    return {row.label for row in table.rows if not row.spans and row.cells[column] and row.cells[column].bold}


def places(table, column=0):
    return {row.label: row.cells[column].rank for row in table.rows if not row.spans and row.cells[column].rank}


@pytest.mark.parametrize("rows", [2, 5, 8, 12])
def test_below_the_least_n_nothing_is_bold_and_every_place_is_open_whatever_the_data(rows):
    least = smallest_n(rows * (rows - 1) // 2)
    table = only(ladder(rows, least - 1))
    assert bold(table) == set()
    assert set(places(table).values()) == {(1, rows)}
    (line,) = verdict_lines(table)
    assert f"verdicts on pairs need n ≥ {least}; n = {least - 1}: nothing is bold" in line


def test_a_ladder_of_steps_larger_than_its_noise_is_decided_from_the_least_n_on():
    table = only(ladder(8, 11))
    assert bold(table) == {"m7"}
    assert places(table) == {f"m{i}": (8 - i, 8 - i) for i in range(8)}
    assert all(pair.verdict == "better" for pair in table.families[0].pairs())
    assert table.families[0].rows == tuple(f"m{i}" for i in reversed(range(8)))


def test_equal_rows_are_all_bold_and_none_is_better():
    same = scores(0, 50.0, 12)
    table = only([x for row in range(12) for x in cell(f"m{row}", same)])
    assert bold(table) == {f"m{row}" for row in range(12)}
    assert set(places(table).values()) == {(1, 12)}


def test_a_row_below_one_that_is_separated_is_not_bold_though_it_is_undecided():
    wild = [34.0 + 40 * (r % 2) for r in range(8)]
    table = only(cell("a", scores(0, 60.0, 8)) + cell("b", scores(1, 55.0, 8)) + cell("c", wild))
    verdicts = {(pair.row, pair.versus): pair.verdict for pair in table.families[0].pairs()}
    assert verdicts == {("a", "b"): "better", ("a", "c"): "undecided", ("b", "c"): "undecided"}
    assert bold(table) == {"a"}


OUTSIDE = {
    "full": cell("full", [99.0 + r / 9 for r in range(11)]),
    "random": cell("random", scores(1, 20.0, 11)),
    "thirty": cell("random", scores(1, 20.0, 30)),
    "start": cell("m1", scores(2, 30.0, 11), label="m1 (0 steps)"),
    "twin": cell("random", scores(3, 99.0, 11), label="random (recipe of m1)"),
    "soft": cell("random_soft", scores(4, 99.0, 11)),
    "bytes": cell("random", scores(5, 99.0, 11), ipc=4, label="random@bytes",
                  facts={"buys": {"of": ["m1"], "images": 40, "budget": {"ipc": 1, "fraction": None}}}),
    "imported": cell("theirs", scores(6, 99.0, 11), source="imported"),
    "incomplete": cell("nan", [99.0, None]),
    "conditional": cell("mtt", scores(7, 99.0, 11), artifacts=EXPERTS),
}  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.sets(st.sampled_from(sorted(OUTSIDE)), min_size=1))
def test_what_is_no_method_made_here_whole_and_of_its_own_artifacts_never_enters_the_family(names):
    alone = only(ladder(4, 11, step=0.3))
    table = only([*ladder(4, 11, step=0.3), *(x for name in sorted(names) for x in OUTSIDE[name])])
    assert table.families[0].family == alone.families[0].family
    assert bold(table) == bold(alone) != set()


def test_rows_that_share_experts_get_no_verdict_and_the_legend_names_the_way_out():
    table = only([*ladder(2, 6), *OUTSIDE["conditional"]])
    assert table.families[0].conditional == {"mtt": ("experts",)}
    assert bold(table) == {"m1"}
    assert places(table) == {"m0": (2, 3), "m1": (1, 2), "mtt": (1, 3)}
    (line,) = verdict_lines(table)
    assert "no significance is claimed for mtt" in line
    assert "expert_seed=per_rep" in line


def test_rows_of_one_set_get_no_verdict_and_the_legend_says_why():
    table = only(
        [*ladder(2, 6), *cell("herding", scores(7, 99.0, 6), one_set=True), *cell("random", scores(9, 20.0, 6))]
    )
    assert table.families[0].conditional == {"herding": ("set",)}
    assert bold(table) == {"m1"}
    (line,) = verdict_lines(table)
    assert line.endswith("no significance is claimed for herding: all repetitions share one set")
    assert {row.label: row.judged for row in table.versus_random.rows} == {"m0": True, "m1": True, "herding": False}


def test_a_table_of_rows_that_share_experts_has_no_verdicts_at_all():
    records = [x for row in range(3) for x in cell(f"m{row}", scores(row, 40 + 9 * row, 9), artifacts=EXPERTS)]
    table = only(records)
    assert (bold(table), table.families[0].pairs()) == (set(), [])
    assert verdict_lines(table)[0].startswith("no significance is claimed for m0, m1, m2: all repetitions share one")


def test_rows_of_unequal_length_are_judged_over_the_repetitions_they_share():
    longer = cell("a", [*scores(0, 50.0, 6), *[0.0] * 6])
    table = only(longer + cell("b", scores(1, 45.0, 6)))
    assert (bold(table), table.families[0].n) == ({"a"}, 6)


def test_a_claim_about_a_row_of_few_accepted_steps_is_worded_as_run():
    records = ladder(2, 8)
    for record in records:
        if record.kind == "condense" and record.document.label == "m1":
            record.metrics = {"accepted_steps": 12.0, "skipped_percent": 0.0}
    table = only(records)
    (line,) = verdict_lines(table)
    assert "m1 (as run) better than m0" in line
    (view,) = verdict_views([table])
    assert view.facts["families"][0]["as_run"] == ["m1"]
    assert view.grid[1][:2] == ["m1 (as run)", "m0"]
    assert bold(table) == {"m1"}, "it stays in ranks"


def test_configurations_of_a_tuning_run_are_not_judged():
    records = [x for row in range(2) for x in cell(f"m{row}", scores(row, 40 + 3 * row, 8), data={"split": "tune"})]
    table = only(records)
    assert verdict_lines(table) == [] and bold(table) == set()
    assert "training images that the view leaves out" in caption(table)


def test_a_single_method_is_neither_bold_nor_placed_against_anyone():
    table = only(cell("dm", scores(0, 50.0, 9)) + cell("random", scores(1, 20.0, 9)))
    assert (bold(table), places(table), verdict_lines(table)) == (set(), {"dm": (1, 1)}, [])


def test_what_is_said_of_several_columns_is_said_once():
    records = [x for ipc in (1, 10, 50) for row in range(3) for x in cell(f"m{row}", scores(row, 40.0, 3), ipc=ipc)]
    assert verdict_lines(only(records)) == [
        "ipc 1, ipc 10, ipc 50: 3 methods, 3 pairs: verdicts on pairs need n ≥ 7; n = 3: nothing is bold"
    ]


def test_rows_better_than_the_same_others_are_named_together_and_equivalent_ones_with_their_power():
    near = scores(0, 60.0, 12, spread=0.05)
    records = (
        cell("a", near)
        + cell("b", [x + 0.1 * (r % 3 - 1) + 0.01 for r, x in enumerate(near)])
        + cell("c", scores(2, 40.0, 12))
    )
    (line,) = verdict_lines(only(records))
    assert "3 methods, 3 pairs; b, a better than c; equivalent within 0.5 points: b ≈ a (power 98 %)" in line


def test_what_is_undecided_says_how_many_repetitions_would_do():
    one = cell("a", scores(0, 50.0, 6, spread=3.0)) + cell("b", scores(1, 49.0, 6, spread=3.0))
    (pair,) = only(one).families[0].pairs()
    assert pair.verdict == "undecided" and pair.wanted is not None
    assert f"undecided: {pair.row} – {pair.versus} (n = {pair.wanted} would do)" in verdict_lines(only(one))[0]
