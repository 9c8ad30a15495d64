"""Names such as ``kmeans_soft``: a control's method on the set of another row, which is planned as if it had been named."""

from __future__ import annotations

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.keys import condense_key
from ddbench.core.plugin.loader import installed
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.roles import Role
from ddbench.core.store.folder import Store
from ddbench.plan.status import assess
from tests.unit.plan.test_planner import nodes, planned, rows

SOFT = {"protocols": ["native"], "seeds": {"condense": 2, "evaluate": 1}}
MTT3 = {"name": "mtt", "label": "mtt", "params": {"experts": 3}}


def cells(made, label):
    return {node.document.cell.r: node for node in nodes(made, "cell") if node.document.label == label}


def keys(made, label):
    return {r: node.key for r, node in cells(made, label).items()}


def named(made, start):
    return [row for row in rows(made) if row.startswith(start)]


def test_a_set_starts_from_the_other_rows_set_of_the_same_repetition_data_and_budget():
    made = planned(methods=["kmeans_soft"], budget={"ipc": [1, 2]}, preprocess=["meanstd", "zca-kornia"], **SOFT)
    started = [node for node in nodes(made, "cell") if node.document.label == "kmeans_soft"]
    assert len(started) == 2 * 2 * 2
    for node in started:
        start = made.nodes[node.document.cell.initial]
        assert start.key in node.needs and start.document == node.document.initial
        assert start.document.cell.method == "kmeans" and node.document.cell.method == "random_soft"
        for field in ("r", "data", "budget", "arch", "master"):
            assert getattr(start.document.cell, field) == getattr(node.document.cell, field)


def test_the_key_of_the_start_is_that_of_the_row_whether_or_not_it_is_named():
    alone = planned(methods=["kmeans"], protocols=["hard-fixed"], seeds={"condense": 2})
    made = planned(methods=["kmeans_soft"], **SOFT)
    both = planned(methods=["kmeans_soft", "kmeans"], protocols=["native", "hard-fixed"], seeds={"condense": 2})
    assert keys(alone, "kmeans") == keys(made, "kmeans") == keys(both, "kmeans")
    assert keys(made, "kmeans_soft") == keys(both, "kmeans_soft")
    assert rows(both) == ["kmeans_soft", "random (recipe of kmeans_soft)", "full", "random", "kmeans"]


def test_the_set_that_it_starts_from_is_in_its_key():
    made = planned(methods=["kmeans_soft", "herding_soft", "random_soft"], **SOFT)
    found = {row: keys(made, row)[0] for row in ("kmeans_soft", "herding_soft", "random_soft")}
    assert len(set(found.values())) == 3
    document = cells(made, "kmeans_soft")[0].document
    plain = document.cell.model_copy(update={"initial": ""})
    used = [key for _, key in document.artifacts.values()]
    axes = installed().methods.get("random_soft").axes
    assert condense_key(plain, axes, used) == found["random_soft"], "without one it is random_soft itself"
    assert "initial" not in plain.model_dump() and "initial" not in cells(made, "random_soft")[0].document.model_dump()


def test_every_selection_of_real_images_with_hard_labels_has_one():
    for name in ("herding", "kcenter", "kmeans", "random_best_of_k"):
        assert f"{name}_soft" in rows(planned(methods=[f"{name}_soft"], **SOFT))


def test_it_is_a_method_of_its_own_and_random_soft_stays_a_control():
    made = planned(methods=["kmeans_soft", "random_soft", "random_best_of_k_soft"], **SOFT)
    roles = {entry.row: entry.role for entry in made.entries}
    assert roles["kmeans_soft"] == Role()
    assert roles["random_soft"] == roles["random_best_of_k_soft"] == Role("control")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "datm_soft",
            "datm_soft: datm makes images of its own; random_soft starts from real images with hard labels: aum_soft, "
            "ccs_soft, craig_soft, … (see `ddbench describe random_soft`)",
        ),
        ("full_soft", "full_soft: full is a reference; random_soft starts from"),
        ("random_soft_soft", "random_soft_soft: random_soft has labels of its own; random_soft starts from"),
        ("imported_soft", "imported_soft: imported makes images of its own"),
        ("kmean_soft", "unknown method 'kmean_soft'; did you mean kmeans_soft"),
        ("kmeans_sfot", "unknown method 'kmeans_sfot'; did you mean kmeans_soft"),
        ("_soft", "unknown method '_soft'"),
    ],
)
def test_what_is_none_is_refused_in_one_line(name, message):
    with pytest.raises(UsageError) as error:
        planned(methods=["random", name], **SOFT)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------------------- whose set


def test_it_starts_from_the_row_of_the_run_with_its_parameters():
    made = planned(methods=[{"name": "kmeans", "params": {"epochs": 3}}, "kmeans_soft"], **SOFT)
    (start,) = {node.document.initial.cell.params["epochs"] for node in cells(made, "kmeans_soft").values()}
    assert start == 3
    other = planned(methods=["kmeans_soft"], set={"kmeans": {"epochs": 3}}, **SOFT)
    assert keys(other, "kmeans_soft") == keys(made, "kmeans_soft")


def test_of_several_rows_a_label_says_which():
    two = [{"name": "kmeans", "label": "few", "params": {"epochs": 2}}, {"name": "kmeans", "params": {"epochs": 3}}]
    with pytest.raises(UsageError, match=r"kmeans has 2 rows \(few, kmeans \(epochs=3\)\).*`label: mine`.*mine_soft"):
        planned(methods=[*two, "kmeans_soft"], **SOFT)
    made = planned(methods=[*two, "few_soft"], **SOFT)
    assert {node.document.initial.cell.params["epochs"] for node in cells(made, "few_soft").values()} == {2}


def test_the_same_row_named_twice_is_one_start():
    assert "kmeans_soft" in rows(planned(methods=["kmeans", "kmeans_soft", "kmeans"], **SOFT))


def test_its_own_parameters_come_from_the_suite_and_set():
    suite = planned(methods=[{"name": "kmeans_soft", "params": {"snapshots": 2}}], **SOFT)
    assert named(suite, "kmeans_soft") == ["kmeans_soft (snapshots=2)"]
    own = planned(methods=["kmeans_soft", "herding_soft"], set={"kmeans_soft": {"snapshots": 1}}, **SOFT)
    assert {row.split(" (recipe")[0] for row in rows(own)} == {"kmeans_soft (snapshots=1)", "random", "herding_soft"}
    everyone = {"random_soft": {"snapshots": 1}, "kmeans_soft": {"snapshots": 2}}
    both = planned(methods=["kmeans_soft", "herding_soft"], set=everyone, **SOFT)
    assert {"kmeans_soft (snapshots=2)", "herding_soft (snapshots=1)"} <= set(rows(both))


def test_wrong_parameters_are_refused():
    with pytest.raises(
        UsageError, match=r"unknown parameter 'snapshot'; did you mean snapshots\?.*describe random_soft"
    ):
        planned(methods=["kmeans_soft"], set={"kmeans_soft": {"snapshot": 1}}, **SOFT)
    with pytest.raises(UsageError, match="'kmeans_soft' is not among the methods of this run"):
        planned(methods=["kmeans"], set={"kmeans_soft": {"snapshots": 1}}, protocols=["hard"])
    with pytest.raises(UsageError, match=r"unknown method 'kmens_soft'; did you mean kmeans_soft"):
        planned(methods=["kmeans_soft"], set={"kmens_soft": {"snapshots": 1}}, **SOFT)
    with pytest.raises(UsageError, match=r"kmeans \(epoch=1\): unknown parameter 'epoch'"):
        planned(methods=["kmeans_soft"], set={"kmeans": {"epoch": 1}}, **SOFT)


# ------------------------------------------------------------------------------------------------------ whose experts


def experts(made, label):
    return {node.document.artifacts["experts"][1] for node in cells(made, label).values()}


def test_it_reads_the_experts_of_the_distiller_beside_it():
    made = planned(methods=[MTT3, "kmeans_soft"], **SOFT)
    assert experts(made, "kmeans_soft") == experts(made, "mtt") != experts(planned(methods=["datm"], **SOFT), "datm")
    without = planned(methods=["kmeans_soft", "random_soft"], **SOFT)
    assert experts(without, "kmeans_soft") == experts(without, "random_soft"), "by the preset of random_soft"


def test_experts_of_each_repetition_are_taken_over_so_that_there_can_be_a_verdict():
    made = planned(methods=["datm", "kmeans_soft"], set={"datm": {"expert_seed": "per_rep"}}, **SOFT)
    assert experts(made, "kmeans_soft") == experts(made, "datm (expert_seed=per_rep)")
    assert len(experts(made, "kmeans_soft")) == 2


def test_of_several_pools_there_is_a_row_each():
    made = planned(methods=[MTT3, "datm", "tesla", "kmeans_soft"], **SOFT)
    assert named(made, "kmeans_soft") == ["kmeans_soft (for mtt)", "kmeans_soft (for datm, tesla)"]
    for row, of in (("kmeans_soft (for mtt)", "mtt"), ("kmeans_soft (for datm, tesla)", "datm")):
        assert experts(made, row) == experts(made, of)


PER_REP = {"name": "datm", "label": "datm", "params": {"expert_seed": "per_rep"}}


def test_a_named_random_soft_has_the_labels_of_the_other_rows():
    made = planned(methods=[PER_REP, "random_soft", "kmeans_soft"], **SOFT)
    assert experts(made, "random_soft") == experts(made, "kmeans_soft") == experts(made, "datm")
    assert len(experts(made, "random_soft")) == 2
    assert named(made, "random_soft") == ["random_soft"], "without --controls it is trained by no other row's recipe"


def test_of_a_named_random_soft_there_is_a_row_for_each_pool():
    made = planned(methods=[MTT3, PER_REP, "random_soft", "kmeans_soft"], **SOFT)
    assert named(made, "random_soft") == ["random_soft (for mtt)", "random_soft (for datm)"]
    for of in ("mtt", "datm"):
        assert experts(made, f"random_soft (for {of})") == experts(made, f"kmeans_soft (for {of})") == experts(made, of)


@pytest.mark.parametrize("methods", [[PER_REP], [MTT3, PER_REP]], ids=["one pool", "two pools"])
def test_with_controls_a_named_random_soft_is_the_control(methods):
    plain, more = (planned(methods=[*methods, *extra], controls=True, **SOFT) for extra in ((), ("random_soft",)))
    assert sorted(rows(more)) == sorted(rows(plain)) and more.nodes.keys() == plain.nodes.keys()
    roles, others = ({entry.row: entry.role for entry in made.entries} for made in (more, plain))
    assert roles == others


def test_with_controls_a_random_soft_of_other_parameters_is_a_row_beside_the_control():
    own = {"name": "random_soft", "label": "last", "params": {"snapshots": 1}}
    made = planned(methods=[PER_REP, own], controls=True, **SOFT)
    assert {node.document.cell.params["snapshots"] for node in cells(made, "random_soft").values()} == {5}
    assert {node.document.cell.params["snapshots"] for node in cells(made, "last").values()} == {1}
    assert experts(made, "random_soft") == experts(made, "last") == experts(made, "datm")


def test_its_own_parameters_go_before_those_of_the_distiller():
    made = planned(methods=[MTT3, {"name": "kmeans_soft", "label": "mine", "params": {"experts": 2}}], **SOFT)
    assert {node.document.cell.params["experts"] for node in cells(made, "mine").values()} == {2}


def test_controls_add_none_that_nobody_named():
    plain, more = (
        planned(methods=["datm", "kmeans", *extra], controls=True, **SOFT) for extra in ((), ("kmeans_soft",))
    )
    assert named(plain, "kmeans") == []
    assert [row for row in rows(more) if "kmeans_soft" not in row] == rows(plain)
    assert set(plain.nodes) < set(more.nodes)
    assert "kmeans_soft (recipe of datm)" not in rows(more), "it has a recipe of its own"


# ------------------------------------------------------------------------------------------------------- which protocols

SAME = "kmeans_soft is left out under hard@2, which learns hard labels: there it equals kmeans"


def test_where_hard_labels_are_learned_it_is_left_out_with_a_note():
    made = planned(methods=["kmeans", "kmeans_soft"], protocols=["hard", "soft"])
    assert {(entry.table.protocol, entry.row) for entry in made.entries if entry.row == "kmeans_soft"} == {
        ("soft@1", "kmeans_soft")
    }
    assert made.notes.count(SAME) == 1
    hard = planned(methods=["kmeans"], protocols=["hard", "soft"])
    assert [e.evaluation for e in made.entries if e.row != "kmeans_soft"] == [e.evaluation for e in hard.entries]


def test_where_nothing_else_is_named_that_is_an_error():
    with pytest.raises(UsageError, match=f"no cell can run: {SAME}"):
        planned(methods=["kmeans_soft"], protocols=["hard"])


NO_RECIPE = (
    "kmeans is left out under native@2: it has no recipe of its own (kmeans_soft has its images with experts' labels)"
)
HARD_ONES = (
    "kmeans is left out under soft@1, which learns soft labels: it has hard ones (kmeans_soft has its images with experts' "
    "labels)"
)


def test_what_was_named_and_has_no_recipe_is_left_out_with_a_note():
    made = planned(methods=["kmeans", "dm", "random"], controls=True, protocols=["hard-fixed", "native"])
    assert [note for note in made.notes if "left out" in note] == [NO_RECIPE], "not for random, nor for controls"
    other = planned(
        methods=["kmeans", "dm"], exclude=[{"method": "kmeans", "protocol": "native"}], protocols=["native"]
    )
    assert not any("left out" in note for note in other.notes)


@pytest.mark.parametrize(("protocol", "reason"), [("native", NO_RECIPE), ("soft", HARD_ONES)])
def test_where_nothing_else_is_named_it_says_why(protocol, reason):
    with pytest.raises(UsageError) as raised:
        planned(methods=["kmeans"], protocols=[protocol])
    assert str(raised.value) == f"no cell can run: {reason}"


def test_hard_labels_are_not_judged_beside_soft_ones():
    made = planned(methods=["datm", "kmeans", "kmeans_soft"], protocols=["soft", "hard-fixed"], controls=True)
    found = {(entry.table.protocol, entry.row) for entry in made.entries}
    soft, hard = ({row for protocol, row in found if protocol == name} for name in ("soft@1", "hard-fixed@1"))
    assert {"full", "random", "datm", "random_soft", "kmeans_soft"} <= soft
    assert "kmeans" not in soft and "kmeans" in hard and made.notes.count(HARD_ONES) == 1
    roles = {entry.row: entry.role for entry in made.entries if entry.table.protocol == "soft@1"}
    assert [row for row, role in roles.items() if role == Role()] == ["datm", "kmeans_soft"], "what verdicts are about"


@pytest.mark.parametrize(
    ("methods", "name"),
    [
        ([{"name": "kmeans", "params": {"epochs": 3}}], "kmeans_soft"),
        ([{"name": "kmeans", "label": "few", "params": {"epochs": 3}}], "few_soft"),
        ([{"name": "kmeans", "params": {"epochs": 3}}, {"name": "kmeans", "params": {"epochs": 2}}], None),
    ],
)
def test_the_note_names_what_a_suite_may_say_instead(methods, name):
    made = planned(methods=["dm", *methods], protocols=["native"])
    notes = [note for note in made.notes if "left out" in note]
    assert len(notes) == len(methods)
    for note in notes:
        assert note.endswith("recipe of its own" if name is None else f"({name} has its images with experts' labels)")
    if name is not None:
        assert name in rows(planned(methods=[*methods, name], protocols=["native"]))


# ---------------------------------------------------------------------------------------------------------- exclusions


def test_an_exclusion_of_the_row_leaves_the_other_alone():
    content = {"methods": ["kmeans", "kmeans_soft"], "protocols": ["hard-fixed", "soft"], "budget": {"ipc": [1, 2]}}
    made = planned(**content, exclude=[{"method": "kmeans_soft", "ipc": 1}])
    left = {(entry.row, entry.budget.ipc) for entry in made.entries if entry.row.startswith("kmeans")}
    assert left == {("kmeans", 1), ("kmeans", 2), ("kmeans_soft", 2)}
    planned(methods=["kmeans"], exclude=[{"method": "kmeans_soft", "ipc": 1}])  # of a row that options left out


def test_random_soft_excluded_is_random_soft_alone():
    made = planned(methods=["random_soft", "kmeans_soft"], exclude=[{"method": "random_soft", "ipc": 1}], **SOFT)
    assert "kmeans_soft" in rows(made) and "random_soft" not in rows(made)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"methods": ["dm", "kmeans", "kmeans_soft"], "exclude": [{"method": "kmeans", "ipc": 1}]},
         "kmeans, from whose set it starts, is excluded"),
        ({"methods": ["dm", "random_best_of_k_soft"], "split": "paper", "set": {"random_soft": {"snapshots": 1}}},
         "random_best_of_k, from whose set it starts, has no set: there is no val"),
    ],
)  # fmt: skip
def test_without_a_set_to_start_from_there_is_a_skip_that_says_why(content, reason):
    made = planned(**content, **SOFT)
    (found,) = {entry.skip for entry in made.entries if "_soft" in entry.row and "recipe" not in entry.row}
    assert found is not None and found.startswith(reason)


def test_a_control_of_the_same_name_is_another_row():
    """``random_best_of_k`` beside a method chooses among as many sets as that has states; by itself as its preset says."""
    chosen = {"name": "dm", "label": "chosen", "params": {"selection": "val", "iterations": 4}}
    made = planned(methods=[chosen, "random_best_of_k_soft"], controls=True, protocols=["soft"], seeds={"condense": 1})
    found = {node.document.cell.params["k"] for node in cells(made, "random_best_of_k").values()}
    alone = planned(methods=["random_best_of_k_soft"], protocols=["soft"], seeds={"condense": 1})
    (start,) = (node.document.initial for node in cells(made, "random_best_of_k_soft").values())
    assert start == cells(alone, "random_best_of_k")[0].document and start.cell.params["k"] != 4
    assert {
        node.document.cell.params["k"]
        for node in nodes(made, "cell")
        if node.document.cell.method == "random_best_of_k"
    } == {4, start.cell.params["k"]}
    assert found


def test_what_no_protocol_can_evaluate_needs_no_start(monkeypatch):
    plain = Protocol.ask

    def ask(self, params, evaluation, data):
        return ("no", {}) if evaluation.cell.initial else plain(self, params, evaluation, data)

    monkeypatch.setattr(Protocol, "ask", ask)
    made = planned(methods=["datm", "kmeans_soft"], protocols=["soft"], seeds={"condense": 1})
    assert {entry.skip for entry in made.entries if entry.row == "kmeans_soft"} == {"no"}
    assert cells(made, "kmeans_soft") == cells(made, "kmeans") == {}
    both = planned(methods=["kmeans", "kmeans_soft"], protocols=["hard-fixed", "soft"], seeds={"condense": 1})
    assert cells(both, "kmeans_soft") == {} and set(cells(both, "kmeans")) == {0}


# -------------------------------------------------------------------------------------------------------------- status


def test_a_start_is_made_only_for_a_set_that_is_not_there(tmp_path, monkeypatch):
    """Sets that are only started from are like artifacts: nobody needs them once what they are for is done."""
    made = planned(methods=["kmeans_soft"], **SOFT)
    assess(made, Store(tmp_path))
    assert {node.state for node in cells(made, "kmeans").values()} == {"run"}
    done = {node.key for node in cells(made, "kmeans_soft").values()}

    def look_up(plan, node, store, *, retry_failed=False):
        node.state = "cached" if node.key in done else "run"

    monkeypatch.setattr("ddbench.plan.status.look_up", look_up)
    assess(made, Store(tmp_path))
    states = {node.title: node.state for node in nodes(made, "cell") if "kmeans" in node.title}
    assert states["kmeans ipc 1 r0"] == states["kmeans ipc 1 r1"] == "unneeded"
    assert {node.state for node in nodes(made, "artifact")} == {"unneeded"}
