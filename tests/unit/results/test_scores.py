"""Derived scores against numbers worked out by hand."""

import math
from pathlib import Path

import pytest

from ddbench.core.store.jsonl import read_records
from ddbench.publish.views.catalog import views_of
from ddbench.results.scores.ranking import rankings
from ddbench.results.scores.scores import break_even, cost_of, index, scores_of
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, change, pair

FULL = cell("full", [97.0, 98.0, 99.0], evaluate_s=14.0)
RANDOM = cell("random", [40.0, 42.0, 44.0])


def table_of(*records, protocol="hard@1"):
    return next(t for t in tables_of([x for r in records for x in r]) if t.setting.protocol == protocol)


def score(records, row="dm", **fields):
    tables = tables_of(records)
    table = next(t for t in tables if t.setting.protocol == fields.get("protocol", "hard@1"))
    return next(s for s in scores_of(table, tables) if s.row == row)


def costs(*records):
    return {line.row: line for line in cost_of(table_of(*records))}


def test_recovery_ior_and_hlr_by_hand():
    found = score(FULL + RANDOM + cell("dm", [70.0, 71.0, 69.0]))
    assert found.recovery == pytest.approx((70 - 42) / (98 - 42))
    assert found.ior == pytest.approx(28.0)
    assert found.hlr == pytest.approx(28.0)


def test_random_recovers_nothing_and_has_no_improvement_over_itself():
    found = score(FULL + RANDOM + cell("dm", [70.0, 71.0, 69.0]), row="random")
    assert (found.recovery, found.ior) == (0.0, None)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (RANDOM, "full was not measured"),
        (FULL, "random was not measured"),
        (FULL + cell("random", [96.5, 97.5, 98.5]), "below 2 points"),
        (cell("full", [50.0, 90.0, 52.0]) + RANDOM, "below 3 standard errors"),
        (cell("full", [98.0]) + cell("random", [42.0]), "one repetition"),
        (FULL + cell("random", [40.0, None, 44.0]), "random was not measured"),
    ],
)
def test_a_blank_recovery_says_why(records, why):
    found = score(records + cell("dm", [70.0, 71.0, 69.0]))
    assert found.recovery is None
    assert why in found.unrecovered


def test_the_error_of_the_gap_is_paired_where_repetitions_are_common():
    """Gaps 20, 20.1, 20.2: spread widely over repetitions, yet nearly equal within them."""
    full, random = [40.0, 60.1, 80.2], [20.0, 40.0, 60.0]
    assert score(cell("full", full) + cell("random", random) + cell("dm", [30.0, 50.0, 70.0])).recovery is not None


def test_a_mean_of_survivors_gets_no_score():
    found = score(FULL + RANDOM + cell("dm", [70.0, 71.0, None]))
    assert (found.recovery, found.ior, found.hlr) == (None, None, None)
    assert found.accuracy == pytest.approx(70.5)


def test_improvement_is_over_common_repetitions():
    assert score(RANDOM + cell("dm", [70.0, 72.0])).ior == pytest.approx(30.0)


def test_recovery_is_over_common_repetitions_too():
    """Over its two repetitions, full is at 97.5 and random at 41: what the third adds to both is not compared."""
    assert score(FULL + RANDOM + cell("dm", [70.0, 72.0])).recovery == pytest.approx((71 - 41) / (97.5 - 41))
    assert score(FULL + RANDOM + pair("dm", 72.0, r=1)).recovery == pytest.approx((72 - 42) / (98 - 42))
    alone = [x for r in (3, 4) for x in pair("dm", 70.0, r=r)]
    assert score(FULL + RANDOM + alone).unrecovered == "random was not measured in the same repetitions"


def test_where_full_has_none_of_the_repetitions_all_of_its_own_count():
    later = [x for r in (3, 4) for method, top1 in (("random", 40.0), ("dm", 70.0)) for x in pair(method, top1, r=r)]
    assert score(FULL + later).recovery == pytest.approx((70 - 40) / (98 - 40))


def test_under_the_own_recipe_random_is_the_one_trained_by_it_and_hard_label_recovery_has_no_meaning():
    native = {"protocol": "native"}
    twin = cell("random", [50.0, 50.0, 50.0], label="random (recipe of datm)", **native)
    found = score(
        cell("full", [97.0, 98.0, 99.0], **native) + twin + cell("datm", [80.0, 81.0, 79.0], **native),
        row="datm",
        protocol="native@1",
    )
    assert found.ior == pytest.approx(30.0)
    assert found.recovery == pytest.approx(30 / 48)
    assert found.hlr is None


def test_the_scale_of_the_indices_is_that_of_fractions():
    assert index(0.0) == pytest.approx(0.269, abs=5e-4)
    assert index(-25.0) == pytest.approx(0.175, abs=5e-4)
    assert index(30.0) == pytest.approx(0.418, abs=5e-4)
    assert (index(-100.0), index(100.0)) == pytest.approx((0.0, 1.0))


def test_lrs_takes_the_gain_under_the_own_recipe_and_the_loss_under_hard_labels():
    native = {"protocol": "native"}
    records = FULL + RANDOM + cell("datm", [60.0, 61.0, 59.0]) + cell("dm", [70.0, 71.0, 69.0])
    records += cell("random", [50.0] * 3, label="random (recipe of datm)", **native) + cell(
        "datm", [90.0] * 3, **native
    )
    assert score(records, row="datm").lrs == pytest.approx(index((40 - 38) / 2))
    assert score(records, row="dm").lrs == pytest.approx(index((28 - 28) / 2)), "no own recipe: hard labels are its own"
    assert score(records, row="datm", protocol="native@1").lrs is None
    assert score(FULL + RANDOM + cell("datm", [60.0] * 3), row="datm").lrs is None, "the own recipe was not tried"


def test_ars_averages_the_gains_with_and_without_augmentation():
    bare = {"protocol": "noaug"}
    records = RANDOM + cell("dm", [70.0] * 3) + cell("random", [30.0] * 3, **bare) + cell("dm", [40.0] * 3, **bare)
    assert score(records).ars == pytest.approx(index((28 + 10) / 2))
    assert score(RANDOM + cell("dm", [70.0] * 3)).ars is None


@pytest.mark.parametrize("protocol", ["hard-fixed", "hard-long"])
def test_ars_needs_two_protocols_that_differ_in_augmentation_alone(protocol):
    records = [x for name in (protocol, "noaug") for method in ("random", "dm")
               for x in cell(method, [40.0 + 20 * (method == "dm")] * 3, protocol=name)]  # fmt: skip
    found = score(records, protocol=f"{protocol}@1")
    assert found.ior == pytest.approx(20.0) and found.ars is None


def test_tables_of_another_student_lend_nothing():
    native = {"protocol": "native", "eval_arch": "mlp-w128-nn"}
    records = FULL + RANDOM + cell("datm", [60.0] * 3) + cell("datm", [90.0] * 3, **native)
    assert score(records, row="datm").lrs is None


def test_the_worst_class_is_that_of_the_mean_over_repetitions():
    classes = [[90.0, 50.0, 80.0], [90.0, 80.0, 52.0]]
    records = [x for r in (0, 1) for x in cell("dm", [60.0] * (r + 1), metrics={"per_class": classes[r]})[2 * r :]]
    found = score(records)
    assert (found.worst_class, found.worst_class_index) == (65.0, 1)


def test_what_one_result_lacks_is_not_averaged_over_the_others():
    records = cell("dm", [60.0], metrics={"per_class": [50.0], "top1_uint8": 58.0}) + cell("dm", [60.0, 61.0])[2:]
    assert score(records).worst_class is None
    assert costs(records)["dm"].cell.top1_uint8 is None
    assert score(cell("dm", [60.0], metrics={"per_class": [50.0, None]})).worst_class is None


def test_quartiles_and_uint8_are_shown_when_there():
    told = {"quartiles": [90.0, 80.0, 50.0, 20.0], "top1_uint8": 58.0}
    records = cell("dm", [60.0, 61.0], metrics=told)
    assert score(records).quartiles == (90.0, 80.0, 50.0, 20.0)
    assert costs(records)["dm"].cell.top1_uint8 == 58.0


def test_full_stopped_at_the_seconds_of_a_set_is_averaged_over_its_repetitions():
    stopped = [{"full_stopped": top1, "full_stopped_updates": n} for top1, n in ((70.0, 100), (72.0, 140))]
    records = [x for r, told in enumerate(stopped) for x in pair("dm", 60.0, r=r, metrics=told)]
    assert (costs(records)["dm"].cell.full_stopped, costs(records)["dm"].cell.full_stopped_updates) == (71.0, 120.0)


def by(digest, *quarters):
    return {"quartiles": list(quarters), "difficulty": digest}


def test_quartiles_by_different_difficulties_are_neither_averaged_nor_shown_side_by_side():
    one, other = by("a" * 16, 90.0, 80.0, 50.0, 20.0), by("b" * 16, 70.0, 60.0, 55.0, 50.0)
    mixed = pair("mixed", 60.0, metrics=one) + pair("mixed", 61.0, r=1, metrics=other)
    first, second = cell("dm", [60.0, 61.0], metrics=one), cell("dc", [60.0, 61.0], metrics=one)
    table = table_of(cell("odd", [60.0, 61.0], metrics=other), first, second, mixed)
    found = {line.row: line for line in scores_of(table)}
    assert found["dm"].quartiles == found["dc"].quartiles == (90.0, 80.0, 50.0, 20.0)
    assert found["odd"].quartiles is found["mixed"].quartiles is None
    assert "another difficulty" in found["odd"].unquartered and "different" in found["mixed"].unquartered
    (view,) = views_of([table], ["scores"])
    budget = table.columns[0].label
    assert [note.partition(": ")[0] for note in view.notes if note.startswith("no quartiles")] == [
        f"no quartiles for odd at {budget}",
        f"no quartiles for mixed at {budget}",
    ]


def test_break_even_counts_students_with_and_without_artifacts():
    spent = {"prepare_s": 0.0, "condense_s": 30.0, "artifact_s": 20.0}
    found = costs(FULL, cell("dm", [70.0] * 3, cost=spent))["dm"]
    assert found.break_even == pytest.approx(30 / (14 - 4))
    assert found.break_even_with_artifacts == pytest.approx(50 / (14 - 4))


def searched(evaluate_s, steps, **fields):
    """Three students of ``full``, the first of which a learning rate was searched for."""
    first = pair("full", 97.0, r=0, evaluate_s=evaluate_s, steps=steps, **fields)
    return first + cell("full", [97.0, 98.0, 99.0], evaluate_s=14.0, **fields)[2:]


def test_the_search_for_a_learning_rate_is_not_in_the_seconds_of_one_student():
    found = costs(searched(42.0, 3000), cell("dm", [70.0] * 3, cost={"prepare_s": 0.0, "condense_s": 30.0}))
    assert found["full"].cell.cost.train_s == pytest.approx(14.0)
    assert found["full"].cell.cost.evaluate_s == pytest.approx(14.0), "the median: one of three searched"
    assert found["dm"].break_even == pytest.approx(30 / (14 - 4))


def test_the_committed_references_train_in_what_their_unsearched_repetitions_took():
    records = Path(__file__).parents[3] / "leaderboards/records/digits-trajectory.jsonl"
    found = read_records(records)
    table = next(t for t in tables_of(found) if t.setting.protocol == "hard@1")
    full = next(row for row in table.rows if row.label == "full").cells[0]
    costs = [r.cost for r in found if r.kind == "evaluation" and r.document.cell.method == "full"]
    assert sorted(cost.steps for cost in costs) == [3000, 3000, 9000]  # one repetition searched
    seconds = [cost.evaluate_s * 3000 / cost.steps for cost in costs]
    assert full is not None and full.cost.train_s == pytest.approx(sorted(seconds)[1])


def test_what_trains_no_faster_never_pays():
    assert break_even(1.0, 4.0, 4.0) == break_even(0.0, 3.0, 4.0) == math.inf
    assert break_even(1.0, None, 4.0) is None
    assert costs(cell("dm", [70.0]))["dm"].break_even is None


def priced(method, top1, seconds, megabytes, size, **fields):
    cost = {"prepare_s": 0.0, "condense_s": seconds, "peak_mb": megabytes, "bytes": {"images": size}}
    return cell(method, [top1], cost=cost, **fields)


def test_pareto_is_by_hand():
    found = costs(
        priced("a", 80.0, 10.0, 50.0, 100),
        priced("b", 70.0, 5.0, 60.0, 100),
        priced("c", 60.0, 7.0, 50.0, 50),
    )
    assert {row: line.pareto for row, line in found.items()} == {
        "a": ("seconds", "memory", "bytes"),
        "b": ("seconds",),
        "c": ("bytes",),
    }


def test_ties_stay_on_the_front_and_seconds_tie_when_they_look_equal():
    found = costs(priced("a", 80.0, 10.01, 50.0, 100), priced("b", 80.0, 10.02, 50.0, 120))
    assert found["a"].pareto == ("seconds", "memory", "bytes")
    assert found["b"].pareto == ("seconds", "memory")


def test_artifacts_are_charged_on_the_front():
    slow = cell("a", [80.0], cost={"condense_s": 1.0, "artifact_s": 99.0})
    found = costs(slow, cell("b", [80.0], cost={"condense_s": 50.0}))
    assert "seconds" not in found["a"].pareto
    assert "seconds" in found["b"].pareto


def test_imported_and_incomplete_rows_are_neither_on_the_front_nor_in_the_way():
    found = costs(
        priced("a", 60.0, 9.0, 9.0, 9), priced("b", 99.0, 1.0, 1.0, 1, source="imported"), cell("c", [99.0, None])
    )
    assert found["a"].pareto == ("seconds", "memory", "bytes")
    assert found["b"].pareto == found["c"].pareto == ()


BUYS = {"of": ["dm"], "images": 40, "budget": {"ipc": 1, "fraction": None}}
AT_BYTES = cell("random", [60.0, 66.0, 63.0], ipc=4, label="random@bytes", facts={"buys": BUYS})


def test_a_row_is_held_against_the_real_images_that_its_bytes_buy():
    records = RANDOM + AT_BYTES + cell("dm", [64.0, 66.0, 65.0]) + cell("mtt", [64.0, 66.0, 65.0])
    assert score(records).over_bytes == pytest.approx(2.0)
    assert score(records, row="mtt").over_bytes is None, "its bytes are not those"


def test_real_images_at_equal_bytes_stand_in_the_column_but_are_no_rival_in_it():
    (table,) = tables_of(RANDOM + AT_BYTES + cell("dm", [64.0, 66.0, 65.0]) + cell("mtt", [50.0, 51.0, 52.0]))
    assert [column.label for column in table.columns] == ["ipc 1 (0.8 %)"]
    row = next(row for row in table.rows if row.label == "random@bytes")
    assert [cell is not None and cell.bold for cell in row.cells] == [False]
    assert table.footnotes == (
        "random@bytes: not of the column's size: as many real images as the bytes of dm buy, 40 at ipc 1; trained as long, in "
        "batches of the column's size",
    )
    (ranking,) = rankings([table])
    assert set(ranking.average) == {"dm", "mtt"}
    assert table.versus_random is not None
    assert [row.label for row in table.versus_random.rows] == ["dm", "mtt"]


def test_real_images_at_equal_bytes_may_beat_a_set_on_the_pareto_front():
    costly = cell("dm", [59.0, 60.0, 61.0], cost={"bytes": {"images": 2560, "labels": 10}})
    real = {"bytes": {"images": 2560, "labels": 40}}
    found = costs(
        RANDOM, cell("random", [60.0, 66.0, 63.0], ipc=4, label="random@bytes", facts={"buys": BUYS}, cost=real), costly
    )
    assert found["random@bytes"].pareto
    assert "bytes" not in found["dm"].pareto


def test_one_student_may_stand_in_the_row_of_random_and_at_equal_bytes():
    made, student = pair("random", 60.0, ipc=4)
    facts = student.evaluation.facts.model_dump(mode="json", exclude={"role"}) | {"n": 10, "buys": BUYS}
    change(student, also=[{"label": "random@bytes (for dm)", "facts": facts}])
    (table,) = tables_of([made, student, *pair("dm", 50.0), *pair("random", 40.0)])
    shown = {row.label: [cell and cell.summary.mean for cell in row.cells] for row in table.rows}
    assert shown == {"random": [40.0, 60.0], "random@bytes (for dm)": [60.0, None], "dm": [50.0, None]}


def test_where_a_method_starts_is_on_no_front():
    cheap = {"condense_s": 0.1, "peak_mb": 1.0}
    dear = {"condense_s": 9.0, "peak_mb": 90.0}
    found = costs(cell("dm", [50.0], label="dm (0 steps)", cost=cheap), cell("random", [50.0], cost=dear))
    assert found["dm (0 steps)"].pareto == ()
    assert found["random"].pareto == ("seconds", "memory", "bytes")
