"""What a table contains: laws of grouping, averaging and footnotes."""

import json
import random

import pytest

from ddbench.core.records import Record
from ddbench.publish.text.render import render
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, change, demo, key_of, pair, skipped


def only(records):
    (table,) = tables_of(records)
    return table


def row_of(table, label):
    return next(row for row in table.rows if row.label == label)


def reasons(table, found):
    return [table.footnotes[mark - 1] for mark in found.marks]


# ------------------------------------------------------------------------------------------------------------ grouping


@pytest.mark.parametrize(
    "other",
    [{"protocol": "native"}, {"preprocess": "zca-kornia"}, {"eval_arch": "resnet18-in"}, {"arch": "convnet3-w128-in"},
     {"profile": "smoke"}],
)  # fmt: skip
def test_results_that_are_not_comparable_stand_in_different_tables(other):
    assert len(tables_of(cell("dm", [50.0, 51.0]) + cell("dm", [60.0, 61.0], **other))) == 2


@pytest.mark.parametrize("status", ["ok", "nan"])
def test_a_repetition_that_chose_for_the_others_stands_in_no_table(status):
    shown = [*cell("full", [90.0, 91.0]), *cell("random", [40.0, 41.0]), *cell("dm", [50.0, 51.0])]
    extra = [one for method in ("full", "random", "dm") for one in pair(method, 99.0, r=-1, status=status)]
    assert tables_of([*extra, *shown]) == tables_of(shown)
    assert tables_of(extra) == []


def test_where_one_tunes_repetitions_below_0_are_results():
    tuning = [one for r in (-1, -2) for one in pair("dm", 50.0 + r, r=r, data={"split": "tune"})]
    assert only(tuning).rows[0].cells[0].scores == {-1: 49.0, -2: 48.0}


def test_more_draws_of_random_are_all_kept_and_comparisons_use_the_common_ones():
    draws = [40.0 + (7 * r) % 5 for r in range(30)]
    methods = [*cell("dm", [50.0, 53.0, 51.0]), *cell("kmeans", [60.0, 60.0, 63.0])]
    few, more = (only([*cell("random", draws[:n]), *methods]) for n in (3, 30))
    assert row_of(more, "random").cells[0].scores == dict(enumerate(draws))
    assert [row_of(more, label) for label in ("dm", "kmeans")] == [row_of(few, label) for label in ("dm", "kmeans")]


def test_references_come_first_and_the_rest_in_order_of_appearance():
    table = only([*cell("mtt", [50.0]), *cell("dm", [50.0]), *cell("random", [40.0]), *cell("full", [90.0])])
    assert [row.label for row in table.rows] == ["full", "random", "mtt", "dm"]


def test_rows_that_know_their_place_stand_there_within_their_group_before_those_that_do_not():
    places = {"random": 5, "mtt": 2, "dm": 1, "kmeans": None, "dc": 0}
    table = only([x for name in places for x in cell(name, [50.0], facts={"place": places[name]})])
    assert [row.label for row in table.rows] == ["random", "dc", "dm", "mtt", "kmeans"]


def test_columns_ascend_whatever_the_order_of_the_records():
    table = only([x for ipc in (10, 1, 500, 50) for x in cell("dm", [50.0], ipc=ipc)])
    assert [column.label for column in table.columns] == [
        "ipc 1 (0.8 %)",
        "ipc 10 (8.4 %)",
        "ipc 50 (41.8 %)",
        "ipc 500",
    ]


def test_a_fraction_is_shown_with_the_images_it_stands_for():
    assert only(cell("el2n", [50.0], fraction=0.1)).columns[0].label == "10 % (120)"


def test_what_depends_on_no_architecture_stands_in_the_table_of_each():
    records = [*cell("full", [90.0]), *cell("random", [40.0]), *cell("dm", [50.0])]
    records += cell("dm", [55.0], arch="convnet3-w128-in", eval_arch="convnet2-w32-in")
    tables = tables_of(records)
    assert [[row.label for row in table.rows] for table in tables] == [["full", "random", "dm"]] * 2
    assert [table.setting.arch for table in tables] == ["convnet2-w32-in", "convnet3-w128-in"]


def test_the_axes_in_the_record_say_what_depends_on_no_architecture():
    records = cell("herding", [50.0], facts={"axes": ["budget"]}) + cell(
        "dm", [50.0], arch="mlp", eval_arch="convnet2-w32-in"
    )
    assert [row.label for row in only(records).rows] == ["herding", "dm"]


def test_a_skip_that_names_no_profile_joins_the_table_of_its_run():
    table = only([*skipped("mtt", "too large", ipc=500), *cell("dm", [50.0], ipc=1)])
    assert {row.label for row in table.rows} == {"mtt", "dm"}
    assert table.setting.profile == "short"


def test_a_reference_of_another_folder_makes_no_table_of_its_own():
    assert len(tables_of(cell("full", [90.0], protocol="real") + cell("dm", [50.0]))) == 1
    assert len(tables_of(cell("full", [90.0]))) == 1


def test_a_set_that_failed_without_an_evaluation_is_a_row_of_every_table_it_would_stand_in():
    failed = pair("mtt")[0].model_copy(update={"status": "oom", "reason": "out of memory", "key": "f" * 64})
    tables = tables_of([failed, *cell("dm", [50.0]), *cell("dm", [50.0], protocol="native")])
    assert [[row_of(table, "mtt").cells[0].status] for table in tables] == [["oom"]] * 2


# ----------------------------------------------------------------------------------------------------------- averaging


def test_students_are_averaged_before_repetitions():
    records = [
        x
        for r, values in enumerate([(10, 20), (30, 40)])
        for e, top1 in enumerate(values)
        for x in pair(top1=top1, r=r, e=e)
    ]
    found = row_of(only(records), "dm").cells[0]
    assert found.scores == {0: 15.0, 1: 35.0}
    assert found.students == 2
    assert found.summary.sd == pytest.approx(14.142, abs=1e-3)


def test_a_repetition_counts_only_when_all_its_students_finished():
    records = [
        *pair(top1=50.0, r=0),
        *pair(top1=60.0, r=1),
        *pair(top1=None, r=1, e=1, status="nan", reason="diverged"),
    ]
    found = row_of(only(records), "dm").cells[0]
    assert found.scores == {0: 50.0}
    assert (found.status, found.planned) == ("nan", 2)


def test_survivors_are_shown_but_not_compared():
    table = only(cell("random", [40.0, 41.0, 42.0]) + cell("mtt", [80.0, None, 82.0]) + cell("dm", [50.0, 51.0, 52.0]))
    assert row_of(table, "mtt").cells[0].summary.mean == 81.0
    assert [family.rows for family in table.families] == [("dm",)]
    assert [row.label for row in table.versus_random.rows] == ["dm"]


def test_the_same_record_twice_counts_once():
    records = cell("dm", [50.0, 52.0, 54.0])
    assert only(records * 2) == only(records)


def test_runs_with_other_parameters_are_not_averaged_but_told_apart():
    table = only(
        cell("dm", [50.0], params={"iterations": 100, "lr": 1})
        + cell("dm", [60.0], params={"iterations": 900, "lr": 1})
    )
    assert {row.label: row.cells[0].summary.mean for row in table.rows} == {
        "dm [iterations=100]": 50,
        "dm [iterations=900]": 60,
    }


def started(top1, start, r=0, **params):
    """A row ``kmeans_soft`` that started from a set of ``start``."""
    made = pair(start, None, r=r, kind="selection", params=params)[0].document
    records = pair("random_soft", top1, r=r, label="kmeans_soft", kind="selection")
    key = key_of("started", made.key, r)
    for record in records:
        cell = record.document.set.cell.model_copy(update={"initial": made.key})
        content = record.document.set.model_copy(update={"cell": cell, "initial": made, "key": key})
        if record.kind == "condense":
            record.document, record.key = content, key
        else:
            spec = record.evaluation.eval.model_copy(update={"set": key})
            record.document, record.key = record.evaluation.model_copy(update={"set": content, "eval": spec}), key + "e"
    return records


def test_repetitions_that_start_from_repetitions_of_one_row_are_one_row():
    table = only([record for r in range(3) for record in started(50.0 + r, "kmeans", r, epochs=1)])
    assert [(row.label, row.cells[0].summary.mean) for row in table.rows] == [("kmeans_soft", 51.0)]
    assert any("starts from the set of kmeans" in note for note in table.footnotes)


def test_rows_that_start_from_other_sets_are_told_apart():
    table = only([*started(50.0, "kmeans", epochs=1), *started(60.0, "kmeans", epochs=9)])
    assert {row.label for row in table.rows} == {"kmeans_soft [kmeans.epochs=1]", "kmeans_soft [kmeans.epochs=9]"}
    table = only([*started(50.0, "kmeans"), *started(60.0, "herding")])
    assert {row.label for row in table.rows} == {"kmeans_soft [start=kmeans]", "kmeans_soft [start=herding]"}


def test_presets_may_differ_between_budgets_of_one_row():
    table = only(cell("dm", [50.0], ipc=1, params={"lr": 1}) + cell("dm", [60.0], ipc=10, params={"lr": 2}))
    assert [row.label for row in table.rows] == ["dm"]


# ---------------------------------------------------------------------------------------------------------------- rows


def test_an_imported_set_says_how_many_images_it_has_where_its_column_has_others():
    fields = {"source": "imported", "label": "theirs", "params": {"sources": ["0" * 16], "n": 13}}
    records = cell("imported", [60.0, 61.0], fraction=0.0134, **fields)
    table = only(records + cell("random", [50.0, 51.0], fraction=0.0134))
    assert table.columns[0].n == 16
    row = row_of(table, "theirs")
    assert "theirs (imported): 13 images; the column's budget has 16" in reasons(table, row)
    assert row_of(table, "random").marks == ()
    shown = json.loads(render([table], "json"))[0]["rows"]
    assert {line["row"]: line["cells"][0]["n_images"] for line in shown} == {"random": 16, "theirs": 13}
    two = only(records + cell("imported", [62.0, 63.0], fraction=0.02, **fields))
    found = reasons(two, row_of(two, "theirs"))
    assert found == [f"theirs (imported): 13 images; the budget of {b}" for b in ("1.34 % has 16", "2 % has 24")]
    fields["params"] = {"sources": ["0" * 16], "n": 10}
    exact = only(cell("imported", [60.0, 61.0], ipc=1, **fields))
    assert exact.footnotes == ()


# ----------------------------------------------------------------------------------------------------------- footnotes


def test_each_reason_is_one_footnote_whoever_has_it():
    table = only(skipped("a", "too large", ipc=500) + skipped("b", "too large", ipc=500) + cell("b", [None] * 2, ipc=1))
    assert table.footnotes == ("skipped: too large", "nan: loss is nan at step 17")
    assert reasons(table, row_of(table, "b").cells[0]) == ["nan: loss is nan at step 17"]


def test_a_recipe_that_was_cut_is_a_footnote_and_what_was_made_stands_in_the_caption():
    recipes = {"protocol": "native", "updates": 2002}  # as the plan expected
    cut = {"updates": 3000, "recipe_updates": 4004}
    table = only(cell("datm", [50.0, 51.0], metrics=cut, **recipes))
    assert table.footnotes == ("datm: its recipe's 4,004 updates were cut to 3,000",)
    assert table.rows[0].cells[0].updates == 3000
    assert "native@1 (short: 3000 updates)" in render([table], "table")
    shorter = cell("datm", [50.0, 51.0], ipc=10, metrics={"updates": 1001}, **recipes)
    both = only([*cell("datm", [50.0, 51.0], metrics=cut, **recipes), *shorter])
    assert both.footnotes == ("datm: its recipe's 4,004 updates were cut to 3,000 at ipc 1",)
    assert "native@1 (short: 1001–3000 updates)" in render([both], "table")


def test_the_seconds_of_a_student_are_those_of_the_updates_that_it_made():
    (_, told), (_, plain) = (pair("dm", metrics=m, evaluate_s=8.0, steps=4000) for m in ({"updates": 4000}, {}))
    assert (told.updates, told.train_s()) == (4000, 8.0)
    assert (plain.updates, plain.train_s()) == (1000, 2.0)


def test_warnings_of_a_set_are_footnotes_of_its_row_once_each():
    table = only(cell("dm", [50.0, 51.0], warnings=["labels\nwere clipped"]))
    assert reasons(table, row_of(table, "dm")) == ["dm: labels were clipped"]


def test_repetitions_that_share_an_artifact_are_said_to_and_get_no_verdict():
    records = cell("random", [40.0 + r for r in range(6)]) + cell(
        "mtt", [60.0 + r**2 / 9 for r in range(6)], artifacts={"experts": ["experts", "e" * 64]}
    )
    table = only(records)
    assert "conditional on one artifact that all repetitions share (experts)" in table.footnotes[0]
    assert table.versus_random.rows[0].conditional


def test_whitening_is_shared_by_nature():
    assert only(cell("dm", [50.0, 51.0], artifacts={"whitening": ["zca", "e" * 64]})).footnotes == ()


def test_repetitions_of_one_set_are_said_to_be():
    assert "all repetitions share one set" in only(cell("herding", [50.0, 51.0], one_set=True)).footnotes[0]


# ----------------------------------------------------------------------------------------------- differences to random


def test_differences_are_paired_with_random_of_the_same_budget():
    records = (
        cell("random", [40.0, 42.0, 44.0]) + cell("dm", [50.0, 52.0, 54.5]) + cell("dm", [80.0, 81.0, 82.0], ipc=10)
    )
    shown = only(records).versus_random
    assert shown.columns == (0,)
    assert shown.rows[0].comparisons[0].paired.difference == pytest.approx(10.1667, abs=1e-3)


def test_two_repetitions_have_no_differences():
    assert only(cell("random", [40.0, 42.0]) + cell("dm", [50.0, 52.0])).versus_random is None


def test_native_rows_are_compared_with_random_under_their_own_recipe():
    native = {"protocol": "native"}
    records = cell("dm", [50.0, 52.0, 54.0], **native) + cell(
        "random", [45.0, 47.0, 49.0], label="random (recipe of dm)", **native
    )
    shown = only(records).versus_random
    assert [(row.label, row.comparisons[0].paired.difference) for row in shown.rows] == [("dm", 5.0)]


def test_all_draws_of_random_count_beside_a_method_and_only_the_paired_ones_beside_a_start_or_a_twin():
    draws = [40.0 + (7 * r) % 11 for r in range(30)]
    gains = (8.0, 9.5, 10.0, 11.0, 12.0, 10.5)
    native = {"protocol": "native"}
    records = cell("random", draws) + cell("dm", [a + b for a, b in zip(draws, gains, strict=False)])
    records += cell("dm", [a + b / 4 for a, b in zip(draws, gains, strict=False)], label="dm (0 steps)")
    records += cell("dm", [a + b for a, b in zip(draws, gains, strict=False)], **native)
    records += cell("random", draws, label="random (recipe of dm)", **native)
    hard, own = tables_of(records)
    dm, start = hard.versus_random.rows
    (twin,) = own.versus_random.rows
    assert dm.comparisons[0].draws == 30
    assert dm.comparisons[0].paired.difference == pytest.approx(sum(draws[:6]) / 6 + 61 / 6 - sum(draws) / 30)
    assert (start.comparisons[0].draws, start.comparisons[0].paired.n) == (6, 6)
    assert start.comparisons[0].paired.difference == pytest.approx(61 / 24)
    assert (twin.label, twin.comparisons[0].draws) == ("dm", 6)
    assert twin.comparisons[0].paired.difference == pytest.approx(61 / 6)


# ---------------------------------------------------------------------------------------------------------- everything


def test_condensations_may_come_in_any_order():
    records = demo()
    made = [record for record in records if record.kind == "condense"]
    others = [record for record in records if record.kind != "condense"]
    random.Random(0).shuffle(made)
    assert tables_of([*others, *made]) == tables_of(records)


def test_records_without_facts_still_make_a_table():
    bare = []
    for record in cell("random", [40.0]) + cell("full", [90.0]):
        content = record.model_dump(by_alias=True, mode="json")
        content["spec"] = {name: v for name, v in content["spec"].items() if name not in ("facts", "label")}
        bare.append(Record.model_validate(content))
    table = only(bare)
    assert [row.label for row in table.rows] == ["full", "random"]
    assert [column.label for column in table.columns] == ["ipc 1"]


def test_no_records_make_no_tables():
    assert tables_of([]) == []


def test_a_set_that_could_not_be_made_stands_where_its_row_was_evaluated():
    made, _ = pair("mtt", None, r=1, status="nan")
    failed = made.model_copy(update={"status": "nan", "reason": "loss is nan at step 3"})
    soft = cell("dm", [50.0, 51.0, 52.0], protocol="native")
    found = {
        table.setting.protocol: {row.label for row in table.rows}
        for table in tables_of([failed, *pair("mtt", 60.0, r=0), *cell("dm", [50.0, 51.0]), *soft])
    }
    assert found == {"hard@1": {"mtt", "dm"}, "native@1": {"dm"}}
    nowhere = {
        table.setting.protocol: {row.label for row in table.rows}
        for table in tables_of([failed, *cell("dm", [50.0, 51.0]), *soft])
    }
    assert nowhere == {"hard@1": {"mtt", "dm"}, "native@1": {"mtt", "dm"}}, "where it would have stood is not known"


def test_an_edited_protocol_has_a_table_of_its_own():
    records = [*cell("dm", [50.0, 51.0, 52.0]), *cell("dm", [10.0, 11.0, 12.0], updates=1001)]
    for record in records[6:]:
        if record.kind == "evaluation":
            change(record, eval={"protocol_params": {"updates": 1000}, "origins": {"protocol": "f" * 64}})
    tables = tables_of(records)
    assert [table.setting.protocol for table in tables] == ["hard@1 [ddbench]", "hard@1 [ffffffff]"]
    assert [[row.label for row in table.rows] for table in tables] == [["dm"], ["dm"]]
    assert [table.rows[0].cells[0].summary.mean for table in tables] == [51.0, 11.0]
