"""Roles: what a row is comes from who made it, not from what it is called; records from before roles keep theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ddbench.core.errors import UsageError
from ddbench.core.roles import Role, baseline_of, parse_label
from ddbench.core.store.jsonl import read_records
from ddbench.results.scores.ranking import rankings
from ddbench.results.scores.scores import cost_of, scores_of
from ddbench.results.tables.tables import tables_of
from tests.factories import cell
from tests.unit.plan.test_planner import planned, rows

ROOT = Path(__file__).parents[3]
FILES = [path for path in sorted((ROOT / "leaderboards" / "records").glob("*.jsonl")) if "pictures" not in path.name]
METHOD = {"role": {"kind": "method", "of": []}}
NAMES = ["mine (0 steps)", "mine (recipe of dm)", "random@bytes (for dm)", "random (recipe of kmeans)"]


def roles(made):
    return {entry.row: entry.role for entry in made.entries}


# ---------------------------------------------------------------------------------------------------------------- plan


def test_every_planned_row_has_the_role_of_what_made_it():
    made = planned(methods=["mtt", "kmeans"], controls=True, protocols=["hard", "native"])
    assert roles(made) == {
        "full": Role("reference"), "random": Role("reference"), "mtt": Role(), "kmeans": Role(),
        "random_soft": Role("control", ("mtt",)), "mtt (0 steps)": Role("start", ("mtt",)),
        "random@bytes (for mtt)": Role("at_bytes", ("mtt",)),
        "random (recipe of random_soft)": Role("twin", ("random_soft",)),
        "random (recipe of mtt)": Role("twin", ("mtt",)), "random_soft (recipe of mtt)": Role("twin", ("mtt",)),
        "random (recipe of mtt (0 steps))": Role("twin", ("mtt (0 steps)",)),
    }  # fmt: skip


def test_a_control_that_a_suite_names_is_a_control_and_random_under_another_name_a_method():
    made = planned(methods=["mtt", "random_soft", {"name": "random", "label": "chance"}])
    assert roles(made)["random_soft"] == Role("control", ("mtt",))
    assert roles(made)["chance"] == Role()


@pytest.mark.parametrize("label", NAMES[2:])
def test_a_label_that_begins_with_another_methods_name_is_refused(label):
    with pytest.raises(UsageError, match="by the name of random, another method: give the row another label"):
        planned(methods=[{"name": "dm", "label": label}])


@pytest.mark.parametrize("label", NAMES[:2])
def test_a_label_makes_no_role_and_roles_and_labels_are_in_no_key(label):
    made, plain = planned(methods=[{"name": "dm", "label": label}]), planned(methods=["dm"])
    assert roles(made)[label] == Role()
    assert set(made.nodes) == set(plain.nodes)


def test_documents_name_the_role_of_their_row():
    made = planned(methods=["dm"], controls=True, protocols=["native"])
    for entry in made.entries:
        evaluation, condensation = made.nodes[entry.evaluation].document, made.nodes[entry.cell].document
        assert evaluation.role == entry.role
        assert condensation.role == (entry.role if entry.role.kind != "twin" else Role("reference"))


# -------------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("label", NAMES)
def test_a_label_alone_changes_no_ranking_no_front_and_no_verdict(label):
    def shown(name):
        records = cell("dm", [60.0, 62.0, 64.0], label=name, facts=METHOD) + cell("random", [40.0, 41.0, 45.0])
        tables = tables_of(records + cell("kmeans", [50.0, 53.0, 55.0]) + cell("full", [98.0, 98.1, 98.4]))
        (ranking,), (table,) = rankings(tables), tables
        marked = [
            *ranking.average.items(), *((score.row, score.ior) for score in scores_of(table, tables)),
            *((line.row, line.pareto) for line in cost_of(table)),
            *((row.label, row.judged, row.comparisons) for row in table.versus_random.rows),
        ]  # fmt: skip
        return [("mine" if row == name else row, *rest) for row, *rest in marked]

    assert shown(label) == shown("dm again")


def test_a_row_is_held_against_the_random_of_its_own_recipe_whatever_the_rows_are_called():
    twin = {"role": {"kind": "twin", "of": ["dm"]}}
    records = cell("random", [40.0, 41.0, 42.0]) + cell("random", [45.0] * 3, label="chance, that recipe", facts=twin)
    (table,) = tables_of(records + cell("dm", [60.0] * 3) + cell("mtt", [60.0] * 3))
    found = {row.label: row for row in table.rows}
    assert baseline_of(found["dm"], table.rows) is found["chance, that recipe"]
    assert baseline_of(found["mtt"], table.rows) is found["random"]
    assert baseline_of(found["dm"], [found["dm"], found["mtt"]]) is None


def test_what_others_are_held_against_is_itself_held_against_nothing():
    twin = {"role": {"kind": "twin", "of": ["dm"]}}
    records = cell("random", [40.0, 41.0, 45.0]) + cell("random", [45.0, 47.0, 50.0], label="its chance", facts=twin)
    (table,) = tables_of(records + cell("dm", [60.0, 63.0, 64.0]))
    (row,) = table.versus_random.rows
    assert row.label == "dm"
    assert row.comparisons[0].paired.difference == pytest.approx(45 / 3), "15, 16 and 14 points over its own random"


# --------------------------------------------------------------------------------------- records from before roles


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_committed_records_have_the_role_that_their_parameters_imply(path):
    """Starts have no iterations, twins train by another set's recipe, real images at equal bytes say whose they are."""
    for record in read_records(path):
        if record.kind == "evaluation":
            document, made = record.evaluation, record.document.cell
            implied = (
                "at_bytes" if document.facts.buys
                else "twin" if document.eval.protocol_params.get("recipe_of")
                else "start" if made.params.get("iterations") == 0
                else "reference" if made.method in ("full", "random")
                else "control" if made.method.startswith("random_")
                else "method"
            )  # fmt: skip
            assert document.role.kind == implied, document.label


def test_what_old_labels_spelled_is_what_new_records_say():
    made = planned(methods=["mtt", "datm", "kmeans"], controls=True, protocols=["hard", "native"])
    old = {entry.row: parse_label(entry.row, entry.method.name) for entry in made.entries}
    new = roles(made)
    assert {label: role.kind for label, role in old.items()} == {label: role.kind for label, role in new.items()}
    beside = [label for label, role in new.items() if role.kind in ("start", "twin")]
    assert len(beside) > 4
    assert all(old[label] == new[label] for label in beside)


# ---------------------------------------------------------------------------------------------------------- exclusions


def left(*rules, **content):
    protocols = content.pop("protocols", ["hard", "native"])
    made = planned(methods=["mtt", "dm"], controls=True, protocols=protocols, exclude=list(rules), **content)
    return {(entry.row, entry.table.protocol.partition("@")[0]) for entry in made.entries}


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        ({"role": "start", "protocol": "native"}, lambda row, role, protocol: protocol == "native" and "(0" in row),
        ({"role": "start", "of": "mtt"}, lambda row, role, protocol: "mtt (0 steps)" in row),
        ({"role": "twin"}, lambda row, role, protocol: role == "twin"),
        ({"role": "twin", "method": "random", "of": ["dm"]}, lambda row, *_: row == "random (recipe of dm)"),
        ({"role": "control"}, lambda row, *_: row in ("random_soft", "random (recipe of random_soft)")
            or row.startswith("random_soft (recipe")),
        ({"role": "at_bytes", "ipc": 1}, lambda row, *_: row.startswith("random@bytes")),
        ({"method": ["mtt (0 steps)", "dm"], "protocol": "hard"},
         lambda row, role, protocol: protocol == "hard" and row in ("mtt (0 steps)", "dm", "dm (0 steps)")),
    ],
)  # fmt: skip
def test_rules_leave_out_rows_by_their_role_and_twins_with_their_rows(rule, gone):
    everything = left()
    kinds = roles(planned(methods=["mtt", "dm"], controls=True, protocols=["hard", "native"]))
    expected = {(row, protocol) for row, protocol in everything if gone(row, kinds[row].kind, protocol)}
    assert expected
    assert everything - left(rule) == expected


def test_roles_are_those_that_exist_and_rows_those_that_are_known():
    with pytest.raises(UsageError, match=r"exclude\.0\.role: .*'at_bytes'"):
        left({"role": "begin"})
    with pytest.raises(UsageError, match="exclude: of 'mttt' is not in this run"):
        left({"role": "start", "of": "mttt"})
    with pytest.raises(UsageError, match=r"exclude\.0\.method: is an empty list"):
        left({"method": []})
    assert left({"role": "start", "of": "datm"}) == left(), "datm is known, but not in this run"


BY_LABEL = {
    "cpu": [
        *({"method": name, "protocol": "native"} for name in ("herding", "kcenter", "kmeans", "dm", "dc", "dsa", "idc")),
        *({"method": f"{name} (0 steps)", "protocol": "native"} for name in ("dm", "dc", "dsa", "idc", "mtt", "tesla", "ftd")),
    ],
    "trajectory": [{"method": "dm", "protocol": "native"}, {"method": "mtt (0 steps)", "protocol": "native"}],
}  # fmt: skip
"""What these suites left out before roles."""


@pytest.mark.parametrize("name", BY_LABEL)
def test_suites_leave_out_by_role_what_they_left_out_by_label(name):
    content = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    content |= {"datasets": ["digits"], "schema": 1}
    kept = [rule for rule in content["exclude"] if "fashionmnist" not in rule.values()]
    common = [rule for rule in kept if rule.get("protocol") != "native"]
    new, old = (planned(**content | {"exclude": rules}) for rules in (kept, [*common, *BY_LABEL[name]]))
    assert list(new.nodes) == list(old.nodes)
    assert new.entries == old.entries
    assert "datm (0 steps)" in rows(new)
    assert ("mtt (0 steps)", "native@2") not in {(entry.row, entry.table.protocol) for entry in new.entries}
