"""Footnotes: each text once, with the rows that it is of; what no method's own result is stands last."""

from __future__ import annotations

import pytest

from ddbench.results.tables.observations import ORIGIN
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, change, keyed, pair

POOL = {"experts": ("experts", "f" * 64)}
SHARED = "conditional on one artifact that all repetitions share (experts)"


def start(method, **fields):
    role = {"kind": "start", "of": [method]}
    return cell(method, [40.0, 41.0, 42.0], label=f"{method} (0 steps)", facts={"role": role}, **fields)


def rows_of(table):
    return {row.label: [table.footnotes[mark - 1] for mark in row.marks] for row in table.rows}


def test_rows_that_share_a_pool_share_one_note_that_names_them():
    records = [
        *cell("mtt", [50.0, 51.0, 52.0], artifacts=POOL), *start("mtt", artifacts=POOL),
        *cell("datm", [53.0, 54.0, 55.0], artifacts=POOL), *start("datm", artifacts=POOL),
        *cell("dm", [53.0, 54.0, 55.0]),
    ]  # fmt: skip
    (table,) = tables_of(records)
    assert table.footnotes == (f"mtt, datm (and their 0-step rows): {SHARED}",)
    shown = rows_of(table)
    assert shown.pop("dm") == []
    assert set(map(tuple, shown.values())) == {table.footnotes}


@pytest.mark.parametrize(
    ("records", "names"),
    [
        (cell("mtt", [50.0, 51.0], artifacts=POOL), "mtt"),
        (cell("mtt", [50.0, 51.0], artifacts=POOL) + start("mtt", artifacts=POOL), "mtt (and its 0-step row)"),
        (cell("mtt", [50.0, 51.0]) + start("mtt", artifacts=POOL), "mtt (0 steps)"),
        (cell("mtt", [50.0, 51.0], artifacts=POOL, source="imported"), None),
    ],
)
def test_a_note_names_its_rows_and_no_other(records, names):
    (table,) = tables_of(records)
    assert table.footnotes == (() if names is None else (f"{names}: {SHARED}",))


def test_twins_are_named_by_the_recipes_they_follow():
    records = cell("random_soft", [30.0, 31.0], artifacts=POOL, facts={"role": {"kind": "control", "of": ["mtt"]}})
    for of in ("datm", "mtt"):
        role = {"kind": "twin", "of": [of]}
        label = f"random_soft (recipe of {of})"
        records += cell("random_soft", [30.0, 31.0], label=label, facts={"role": role}, artifacts=POOL)
    (table,) = tables_of(records)
    assert table.footnotes == (f"random_soft, random_soft (recipe of datm, mtt): {SHARED}",)


def test_rows_that_an_edit_of_their_file_told_apart_say_what_tells_them_apart():
    records = [*cell("mine", [50.0, 51.0]), *cell("mine", [50.0, 51.0])]
    for digit, record in zip("aaaabbbb", records, strict=True):
        change(record, cell={"origin": digit * 64})
    (table,) = tables_of(keyed(records))
    assert f"mine [origin=aaaaaaaa], mine [origin=bbbbbbbb]: {ORIGIN}" in table.footnotes


def test_equal_warnings_of_several_rows_are_one_note_and_other_ones_are_not():
    records = [
        *cell("dm", [50.0], warnings=["clipped"]), *cell("mtt", [51.0], warnings=["clipped", "gated"]),
    ]  # fmt: skip
    (table,) = tables_of(records)
    assert table.footnotes == ("dm, mtt: clipped", "mtt: gated")
    assert [row.marks for row in table.rows] == [(1,), (1, 2)]


def test_references_come_first_and_controls_last_in_their_own_order():
    records = [
        *start("mtt"), *cell("mtt", [50.0]), *cell("random_soft", [30.0]), *cell("dm", [40.0]),
        *cell("random", [20.0]), *cell("full", [99.0]),
    ]  # fmt: skip
    (table,) = tables_of(records)
    assert [row.label for row in table.rows] == ["full", "random", "mtt", "dm", "mtt (0 steps)", "random_soft"]


@pytest.mark.parametrize(("kind", "form"), [("at_bytes", ""), ("at_uint8", " with uint8 images")])
def test_real_images_at_the_bytes_of_others_say_whose_bytes_these_are_in_the_note(kind, form):
    buys = {"of": ["dm", "dc"], "images": 40, "budget": {"ipc": 1, "fraction": None}}
    role = {"kind": kind, "of": ["dm", "dc"]}
    name = {"at_bytes": "random@bytes", "at_uint8": "random@uint8"}[kind]
    records = cell("random", [60.0], ipc=4, label=f"{name} (for dm, dc)", facts={"buys": buys, "role": role})
    (table,) = tables_of(records)
    assert [row.label for row in table.rows] == [f"{name} (for dm, …)"], (
        "the long label of earlier records is shortened"
    )
    assert table.footnotes == (
        f"{name} (for dm, …): not of the column's size: as many real images as the bytes of dm, dc{form} buy, 40 at ipc 1; "
        "trained as long, in batches of the column's size",
    )


@pytest.mark.parametrize(("uint8", "said"), [(10, True), (16, False), (None, False)])
def test_a_note_says_where_the_bytes_of_uint8_images_buy_what_random_has(uint8, said):
    buys = {"of": ["dm"], "images": 40, "budget": {"ipc": 1, "fraction": None}, "uint8": uint8}
    facts = {"buys": buys, "role": {"kind": "at_bytes", "of": ["dm"]}, "n": 10}
    (table,) = tables_of(cell("random", [60.0], ipc=4, label="random@bytes (for dm)", facts=facts))
    assert table.footnotes[0].endswith("; with uint8 images their bytes buy as many as random has") is said


def made(method, *sets, budget=1, **fields):
    """Records of a method whose repetitions made these sets."""
    records = []
    for r, sha256 in enumerate(sets):
        for record in pair(method, 50.0 + r, r=r, ipc=budget, **fields):
            records.append(record.model_copy(update={"set_sha256": sha256 * 64}))
    return records


def test_methods_that_make_one_set_are_not_two_that_agree():
    records = [
        *made("herding", *"abc"), *made("kmeans", *"abc"), *made("moderate", *"abd"), *made("kcenter", *"cab"),
        *made("herding", *"efg", budget=10), *made("kmeans", *"efg", budget=10), *made("moderate", *"efg", budget=10),
        *made("a", *"123", budget=10), *made("b", *"123", budget=10), *made("dm", "h", "i"), *made("dc", "h", "i", "j"),
    ]  # fmt: skip
    (table,) = tables_of(records)
    assert sorted(table.footnotes) == [
        "a, b: the same sets at ipc 10", "herding, kmeans, moderate: the same sets at ipc 10", "herding, kmeans: the same sets at ipc 1",
    ]  # fmt: skip
    shown = rows_of(table)
    assert len(shown["herding"]) == len(shown["kmeans"]) == 2
    assert shown["moderate"] == ["herding, kmeans, moderate: the same sets at ipc 10"]
    assert shown["kcenter"] == shown["dm"] == shown["dc"] == []


def test_budgets_at_which_methods_make_one_set_share_a_note():
    records = [*made("a", *"12"), *made("b", *"12"), *made("a", *"34", budget=10), *made("b", *"34", budget=10)]
    (table,) = tables_of([*records, *made("random", *"12", facts={"role": {"kind": "reference"}})])
    assert table.footnotes == ("a, b: the same sets at ipc 1, ipc 10",), "rows of references are no methods'"
