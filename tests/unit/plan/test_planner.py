"""The plan: which nodes a suite needs, each once, in an order that works; what is skipped and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ddbench.core.documents import ArtifactDocument
from ddbench.core.errors import PluginError, UsageError
from ddbench.core.infos import ArchInfo
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.core.records import Cost, Record
from ddbench.core.store.folder import Store
from ddbench.models import names as arch_names
from ddbench.plan import grid, planner, suite
from ddbench.plan.forecast import duration, forecast, limit_references
from ddbench.plan.speeds import Speeds, seconds_per_update


def planned(**content):
    content = {"methods": ["random"], "budget": {"ipc": [1]}, "profile": "smoke", **content}
    parsed = suite.parse(content, "test")
    return planner.make(grid.build(parsed, installed(), profile(parsed.profile)))


def nodes(made, kind):
    return [node for node in made.nodes.values() if node.kind == kind]


def rows(made):
    return list(dict.fromkeys(entry.row for entry in made.entries))


def test_references_are_always_planned_first():
    assert rows(planned(methods=["dm", "kmeans"])) == ["full", "random", "dm", "kmeans"]
    assert rows(planned(methods=["dm", "random"])) == ["full", "random", "dm"]


def test_every_node_comes_after_what_it_needs():
    made = planned(methods=["dm", "kmeans"], protocols=["hard", "native"], preprocess=["meanstd", "zca-kornia"])
    order = {key: i for i, key in enumerate(made.nodes)}
    assert all(order[need] < order[node.key] for node in made.nodes.values() for need in node.needs)


def test_students_of_references_run_last():
    made = list(planned(methods=["dm"], budget={"ipc": [1, 10]}).nodes.values())
    first = next(i for i, node in enumerate(made) if node.is_reference)
    assert all(node.is_reference for node in made[first:])


def test_no_key_holds_anything_of_a_paper():
    paper = installed().methods.get("dm").paper
    texts = [node.document.model_dump_json() for node in planned(methods=["dm"]).nodes.values()]
    assert any('"dm"' in text for text in texts)
    assert not any(word in text for text in texts for word in (paper.title, paper.url, *paper.authors))


def test_selectors_share_one_features_artifact_per_repetition():
    made = planned(methods=["kmeans", "herding", "kcenter"], budget={"ipc": [1, 10]}, protocols=["hard-fixed"])
    assert len(nodes(made, "artifact")) == profile("smoke").condense_seeds


def test_artifacts_that_would_have_one_title_are_told_apart_by_what_differs():
    made = planned(methods=[{"name": "el2n", "params": {"nets": 3, "epochs": 20}}], protocols=["hard-fixed"])
    titles = [node.title for node in nodes(made, "artifact")]
    assert len(set(titles)) == len(titles) == 3 * profile("smoke").condense_seeds
    assert titles[0].endswith("r0 (stop 0, net 0)")
    assert not any("(" in node.title for node in nodes(planned(methods=["kmeans"]), "artifact"))


def test_a_method_without_an_arch_axis_is_condensed_once_for_all_architectures():
    made = planned(archs=["convnet2-w8", "convnet1-w8"], protocols=["hard-fixed"])
    titles = [node.title for node in nodes(made, "cell") if node.title.startswith("random")]
    assert len(titles) == profile("smoke").condense_seeds
    assert len(nodes(made, "evaluation")) == 2 * 2 * profile("smoke").condense_seeds


def test_a_method_whose_networks_do_not_exist_is_skipped_and_runs_where_they_do():
    """frepo condenses with batch norm, which the perceptron lacks."""
    made = planned(methods=["frepo"], archs=["mlp", "convnet2-w8-in"], protocols=["hard-fixed"])
    (skipped,) = {entry.skip for entry in made.entries if entry.row == "frepo" and entry.skip}
    assert skipped.startswith("no such network to condense with: architecture 'mlp-w128-bn'") and "-nn" in skipped
    titles = {node.title.split(" · ")[-1] for node in nodes(made, "evaluation") if node.title.startswith("frepo")}
    assert all("convnet2-w8-in" in title for title in titles) and titles


WITH_STATISTICS = ("idm", "dm", "random")
WITHOUT = {"mtt": "trajectory", "datm": "trajectory", "idc": "every class", "dance": "two networks", "ncfm": "two networks",
           "bptt": "differentiated", "dd": "differentiated", "ld": "gradient step"}  # fmt: skip


def test_networks_that_keep_statistics_are_left_out_where_a_method_has_none():
    made = planned(
        methods=[*WITHOUT, *WITH_STATISTICS], archs=["convnet3-w8-bn", "convnet3-w8-in"], protocols=["hard-fixed"],
        seeds={"condense": 1},
    )  # fmt: skip
    by_arch = {arch: {e.row: e.skip for e in made.entries if e.table.arch == arch} for arch in
               ("convnet3-w8-bn", "convnet3-w8-in")}  # fmt: skip
    for row, word in WITHOUT.items():
        told = by_arch["convnet3-w8-bn"][row]
        assert told is not None and "batch norm" in told and word in told
        assert "batch norm" not in (by_arch["convnet3-w8-in"][row] or "")
    assert all("batch norm" not in (by_arch["convnet3-w8-bn"][row] or "") for row in WITH_STATISTICS)


def test_which_norms_keep_statistics_is_what_a_family_declares():
    class Families(dict):
        def __iter__(self):
            return iter(self.values())

    theirs = ArchInfo("wave", ("wave1",), "wave.nets:build", "waves", norms=("gn", "bn"), statistics=("gn",))
    families = Families(wave=theirs)
    assert arch_names.keeps_statistics("wave1-w8-gn", families) and arch_names.keeps_statistics("wave1", families)
    assert not arch_names.keeps_statistics("wave1-w8-bn", families)
    with pytest.raises(PluginError, match="statistics"):
        replace(theirs, statistics=("G N",))


def test_a_set_whose_images_decode_to_too_many_for_a_kernel_is_left_out_when_planning():
    """idc stores four images in one: 3 canvases a class are 120 images, and the kernel solves for 50 at most."""
    made = planned(methods=["idc", "random"], budget={"ipc": [1, 2, 3]}, protocols=["krr-convpool3"],
                   seeds={"condense": 1}, set={"idc": {"init": "noise"}})  # fmt: skip
    told = {(e.row.split()[0], e.budget.ipc): e.skip for e in made.entries if e.budget is not None}
    assert told["random", 3] is None and told["random", 1] is None and told["idc", 1] is None
    for ipc in (2, 3):
        assert (
            told["idc", ipc].startswith("not measured: convpool3 pools") and f"not {40 * ipc} of 8" in told["idc", ipc]
        )


def test_full_has_one_set_and_one_student_per_repetition_whatever_the_budgets():
    made = planned(budget={"ipc": [1, 2, 5]}, seeds={"evaluate": 3}, protocols=["hard-fixed"])
    assert sum(node.title.startswith("full") for node in nodes(made, "cell")) == 1
    assert sum(node.is_reference for node in nodes(made, "evaluation")) == profile("smoke").condense_seeds


def choosers(made):
    """What stands in no table, by row."""
    found = {}
    for node in made.nodes.values():
        if not isinstance(node.document, ArtifactDocument) and not node.document.reported:
            found.setdefault(node.document.label, []).append(node)
    return found


CONTROLLED = {"methods": ["dm", "kmeans"], "controls": True}
"""With ``full``, ``random``, the initialisation of dm, and real images at its bytes."""


@pytest.mark.parametrize("condense", [1, 3])
@pytest.mark.parametrize("protocol", ["hard", "hard-long"])
def test_one_more_set_and_student_per_row_choose_the_learning_rate(condense, protocol):
    seeds = {"condense": condense, "evaluate": 2}
    alone = planned(**CONTROLLED, protocols=["hard-fixed"], seeds=seeds)
    made = planned(**CONTROLLED, protocols=[protocol], seeds=seeds)
    found = choosers(made)
    assert set(found) == set(rows(made)) == set(rows(alone)) and len(found) > 4
    assert len(nodes(made, "cell")) == len(nodes(alone, "cell")) + len(found) - 1, "full has one set"
    assert len(nodes(made, "evaluation")) == len(nodes(alone, "evaluation")) + len(found)
    for row, extra in found.items():
        student = next(node for node in extra if node.kind == "evaluation")
        assert (student.document.eval.r, student.document.eval.e, student.document.choice) == (-1, 0, None)
        assert all(node.title.endswith(", chooses the learning rate") and "r-1" in node.title for node in extra)
        for entry in made.entries:
            if entry.row == row:
                node = made.nodes[entry.evaluation]
                assert node.document.choice.key == student.key and student.key in node.needs


@pytest.mark.parametrize("protocol", ["hard", "hard-long"])
def test_no_reported_repetition_reaches_the_learning_rate(protocol):
    few, more = (planned(**CONTROLLED, protocols=[protocol], seeds={"condense": n}) for n in (3, 4))
    assert {node.key for extra in choosers(few).values() for node in extra} == {
        node.key for extra in choosers(more).values() for node in extra
    }
    for made in (few, more):
        reported = {node.key for node in made.nodes.values() if node.kind != "artifact" and node.document.reported}
        pending = [node.key for extra in choosers(made).values() for node in extra if node.kind == "evaluation"]
        for key in pending:  # all that a choice depends on
            pending += made.nodes[key].needs
        full = next(entry.cell for entry in made.entries if entry.row == "full")
        assert reported & set(pending) == {full}, "full has one set, all of the images"
    assert set(few.nodes) < set(more.nodes)


@pytest.mark.parametrize("condense", [2, 3])
def test_more_draws_of_random_leave_the_paired_ones_and_all_other_rows_alone(condense):
    content = {"methods": ["dm"], "controls": True, "protocols": ["hard", "noaug", "native"]}
    plain = planned(**content, seeds={"condense": condense})
    more = planned(**content, seeds={"condense": condense, "random": 7})

    def keys(made, **wanted):
        entries = (e for e in made.entries if all(getattr(e, name) == value for name, value in wanted.items()))
        return {(e.table.protocol, e.row, e.r): e.evaluation for e in entries}

    drawn = {r: key for (protocol, _, r), key in keys(more, row="random").items() if protocol == "hard@2"}
    assert set(drawn) == set(range(7)) and len(set(drawn.values())) == 7
    added = {("hard@2", "random", r) for r in range(condense, 7)}
    assert {place: key for place, key in keys(more).items() if place not in added} == keys(plain)
    assert {node.key for extra in choosers(more).values() for node in extra} == {
        node.key for extra in choosers(plain).values() for node in extra
    }
    assert set(plain.nodes) < set(more.nodes)


def test_random_has_no_fewer_repetitions_than_the_others():
    made = planned(methods=["dm"], seeds={"condense": 3, "random": 2})
    assert {entry.r for entry in made.entries if entry.row == "random"} == {0, 1, 2}


def test_a_grid_of_one_learning_rate_needs_no_chooser():
    parsed = suite.parse({"methods": ["dm"], "budget": {"ipc": [1]}, "profile": "smoke"}, "test")
    one = profile("smoke").model_copy(update={"lr_grid": (0.01,)})
    assert not choosers(planner.make(grid.build(parsed, installed(), one)))


def test_what_is_excluded_needs_no_chooser():
    made = planned(methods=["dm"], budget={"ipc": [1, 2]}, exclude=[{"method": "dm", "ipc": 2}, {"method": "full"}])
    assert {node.document.cell.budget.ipc for node in choosers(made)["dm"]} == {1}
    assert set(choosers(made)) == {"random", "dm"}


def test_where_one_tunes_the_first_repetition_chooses_itself():
    parsed = suite.parse({"methods": ["dm"], "budget": {"ipc": [1]}, "profile": "smoke"}, "test")
    for protocol in ("hard", "noaug"):
        built = grid.build(parsed.model_copy(update={"protocols": (protocol,)}), installed(), profile("smoke"))
        made = planner.make(replace(built, repetitions=(-1, -2)))
        assert {entry.r for entry in made.entries} == {-1, -2}
        choices = {entry.r: made.nodes[entry.evaluation].document.choice for entry in made.entries if entry.row == "dm"}
        assert choices[-1] is None
        assert choices[-2].key == next(e.evaluation for e in made.entries if (e.row, e.r) == ("dm", -1))
        assert {node.document.eval.r for node in nodes(made, "evaluation")} == {-1, -2}


@pytest.mark.parametrize("protocol", ["soft", "noaug", "cropflip", "real"])
def test_under_older_protocols_repetition_0_chooses_the_learning_rate_for_the_row(protocol):
    made = planned(seeds={"condense": 3, "evaluate": 2}, protocols=[protocol])
    assert not choosers(made)
    for row in ("random", "full"):
        entries = [entry for entry in made.entries if entry.row == row]
        chooser = next(entry.evaluation for entry in entries if (entry.r, entry.e) == (0, 0))
        assert made.nodes[chooser].document.choice is None
        for entry in entries:
            if entry.evaluation != chooser:
                assert chooser in made.nodes[entry.evaluation].needs


def test_a_single_learning_rate_needs_no_chooser():
    made = planned(protocols=["hard-fixed"])
    assert all(node.document.choice is None for node in nodes(made, "evaluation"))


def test_native_puts_random_under_each_recipe_of_the_same_repetition():
    made = planned(methods=["dm", "kmeans"], protocols=["native"])
    assert rows(made) == ["dm", "random (recipe of dm)"]
    for entry in made.entries:
        if entry.row != "dm":
            document = made.nodes[entry.evaluation].document
            assert document.recipe.cell.r == entry.r == document.cell.r


def test_whitened_images_come_with_their_matrices_and_references():
    made = planned(preprocess=["zca-kornia"])
    assert [node.document.artifact.kind for node in nodes(made, "artifact")] == ["zca"]
    assert rows(made) == ["full", "random"]


LIMIT = "ipc is at most 121 here: at least half of the classes must have so many training images"
"""Of digits, whose classes have 116 to 122."""


def test_what_half_of_the_classes_have_limits_the_ipc():
    made = planned(methods=["dm"], budget={"ipc": [1, 500]})
    skips = {(entry.row, entry.budget.ipc): entry.skip for entry in made.entries if entry.budget}
    assert skips["dm", 1] is None
    assert skips["dm", 500] == LIMIT
    assert {(e.budget.ipc, e.n) for e in made.entries if e.budget} == {(1, 10), (500, None)}, "nobody has 5,000 images"


@pytest.mark.parametrize("methods", [["dm"], ["random"], ["full", "random"]])
def test_a_run_of_which_nothing_fits_is_an_error(methods):
    with pytest.raises(UsageError, match=LIMIT):
        planned(methods=methods, budget={"ipc": [500]})


def test_exclusions_leave_cells_out():
    made = planned(methods=["dm", "kmeans"], budget={"ipc": [1, 10]}, exclude=[{"method": "dm", "ipc": 10}])
    assert {entry.budget.ipc for entry in made.entries if entry.row == "dm"} == {1}
    assert {entry.budget.ipc for entry in made.entries if entry.row == "kmeans"} == {1, 10}


def test_exclusions_understand_short_names_and_refuse_unknown_ones():
    made = planned(
        methods=["dm"],
        archs=["convnet2-w8"],
        exclude=[{"method": "dm", "arch": "convnet2-w8", "protocol": "hard@2"}],
        budget={"ipc": [1]},
        protocols=["hard", "noaug"],
    )
    assert {entry.table.protocol for entry in made.entries if entry.row == "dm"} == {"noaug@1"}
    with pytest.raises(UsageError, match=r"exclude: method 'dmm' is not in this run"):
        planned(methods=["dm"], exclude=[{"method": "dmm"}])


def test_exclusions_of_what_an_override_left_out_say_nothing():
    made = planned(methods=["kmeans"], exclude=[{"method": "dm"}, {"protocol": "native"}, {"method": "mtt (0 steps)"}])
    assert rows(made) == ["full", "random", "kmeans"]


@pytest.mark.parametrize("where", ["archs", "eval_archs"])
def test_a_net_too_deep_for_the_images_is_said_before_anything_runs(where):
    with pytest.raises(UsageError, match="digits: convnet4 halves its images 4 times: 8 pixels are too few"):
        planned(methods=["dm"], **{where: ["convnet4-w8"]})


@pytest.mark.parametrize("pool", [4, 8])
def test_the_usual_net_of_a_data_set_is_held_against_its_images_too(pool):
    data = [{"name": "digits", "view": {"pool": pool}}]
    with pytest.raises(UsageError, match=f"convnet2 halves its images 2 times: {8 // pool} pixels are too few"):
        planned(datasets=data)
    assert planned(datasets=data, archs=["mlp"]).nodes


def test_fewer_draws_of_random_than_of_all_rows_are_said_to_change_nothing():
    def told(**seeds):
        return [note for note in planned(seeds=seeds).notes if "random" in note]

    (note,) = told(condense=3, random=2)
    assert note == "random has 3 repetitions like every row: 2 for it alone (--random-seeds 2) are fewer, and ignored"
    assert told(condense=3, random=3) == told(condense=3, random=4) == told(condense=3) == []


def test_each_row_that_cannot_run_has_its_own_reason():
    with pytest.raises(UsageError, match=r"mtt \(max_start=200\): .*200.*; datm \(max_start=300\): .*300"):
        planned(methods=["mtt", "datm"], set={"mtt": {"max_start": 200}, "datm": {"max_start": 300}})


def test_native_stands_alone_where_random_is_excluded():
    assert rows(planned(methods=["dm"], protocols=["native"], exclude=[{"method": "random"}])) == ["dm"]


def test_a_method_without_the_budget_axis_lies_in_a_folder_of_no_budget(tmp_path):
    made = planned(budget={"ipc": [2, 1]})
    folders = {
        Store(tmp_path).folder(node.document).parent.name
        for node in nodes(made, "cell")
        if node.title.startswith("random")
    }
    assert folders == {"ipc1", "ipc2"}
    full = next(node for node in nodes(made, "cell") if node.title.startswith("full"))
    assert full.document.folder == "any"


def test_rows_are_named_by_what_sets_them_apart():
    made = planned(
        methods=[{"name": "dm", "params": {"iterations": 2}}, {"name": "dm", "params": {"iterations": 4}, "label": "x"}]
    )
    assert rows(made)[2:] == ["dm (iterations=2)", "x"]
    with pytest.raises(UsageError, match="two rows are both called 'x'"):
        planned(methods=[{"name": "dm", "label": "x"}, {"name": "kmeans", "label": "x"}])


def test_the_same_row_twice_is_one_row():
    assert rows(planned(methods=["dm", "dm"])) == ["full", "random", "dm"]


def test_a_share_that_would_be_rounded_up_for_every_class_is_refused():
    with pytest.raises(UsageError, match=r"0.01 % of 1197 training images is less than one of each class; .* 0.0084"):
        planned(budget={"fraction": [0.0001]})
    assert planned(budget={"fraction": [0.005]}).entries


def test_fractions_resolve_per_class():
    made = planned(budget={"fraction": [0.1]})
    entry = next(entry for entry in made.entries if entry.row == "random")
    assert entry.n == sum(max(1, round(0.1 * count)) for count in made.grid.data[0].info.counts)


def test_keys_do_not_depend_on_the_order_of_options():
    one = planned(methods=["dm", "kmeans"], budget={"ipc": [1, 10]})
    other = planned(methods=["kmeans", "dm"], budget={"ipc": [10, 1]})
    assert set(one.nodes) == set(other.nodes)


def iterations(made):
    return next(n for n in nodes(made, "cell") if n.title.startswith("dm")).document.cell.params["iterations"]


def test_set_overrides_suite_overrides_preset():
    rows = [{"name": "dm", "params": {"iterations": 5}}]
    assert iterations(planned(methods=["dm"])) == 3
    assert iterations(planned(methods=rows)) == 5
    assert iterations(planned(methods=rows, set={"dm": {"iterations": 7}})) == 7


def finished(made, node, seconds, steps, profile="short"):
    kind = "condense" if node.kind == "cell" else "evaluation"
    cost = Cost(condense_s=seconds, steps=steps) if kind == "condense" else Cost(evaluate_s=seconds, steps=steps)
    made = node.document.set.model_copy(update={"profile": profile})
    document = made if kind == "condense" else node.document.model_copy(update={"set": made})
    return Record(key=node.key, kind=kind, status="ok", document=document, cost=cost, started="t", finished="t")


def test_a_forecast_is_steps_times_the_median_of_what_was_seen():
    made = planned(methods=["dm"])
    cell = next(node for node in nodes(made, "cell") if node.title.startswith("dm"))
    speeds = Speeds.of([finished(made, cell, seconds, 10) for seconds in (10.0, 20.0, 90.0)])
    forecast(made, speeds)
    assert cell.forecast_s == pytest.approx(2.0 * cell.steps)
    assert next(n for n in nodes(made, "cell") if n.title.startswith("random")).forecast_s is None


def test_forecasts_are_renewed_when_as_much_again_was_seen():
    made = planned(methods=["dm"])
    cell = next(node for node in nodes(made, "cell") if node.title.startswith("dm"))
    speeds = Speeds()
    assert [speeds.add(finished(made, cell, 1.0, 10)) for _ in range(8)] == [n in (1, 2, 4, 8) for n in range(1, 9)]
    assert not speeds.add(finished(made, cell, 1.0, 10, profile="smoke"))


def test_a_student_that_follows_a_recipe_is_forecast_to_train_as_long_as_others_did():
    made = planned(methods=["dm"], protocols=["native"], seeds={"condense": 2})
    first, twin, second, other = nodes(made, "evaluation")
    assert twin.document.recipe.key == first.document.set.key and other.document.recipe.key == second.document.set.key
    record = finished(made, first, 30.0, 3000)
    record.metrics = {"top1": 50.0, "updates": 3000}
    forecast(made, Speeds.of([record]))
    assert [node.forecast_s for node in (second, twin, other)] == [pytest.approx(30.0)] * 3
    record.metrics = {"top1": 50.0}
    forecast(made, Speeds.of([record]))
    assert second.forecast_s == pytest.approx(0.01 * second.steps, abs=0.05)


def test_a_set_that_starts_from_another_has_a_recipe_as_long_in_every_repetition():
    made = planned(methods=["kmeans_soft"], protocols=["native"], seeds={"condense": 2})
    first, _, second, _ = nodes(made, "evaluation")
    record = finished(made, first, 30.0, 3000)
    record.metrics = {"top1": 50.0, "updates": 3000}
    forecast(made, Speeds.of([record]))
    assert second.forecast_s == pytest.approx(30.0)


def test_a_few_steps_among_fixed_costs_say_nothing_about_long_runs():
    made = planned(methods=["dm"])
    cell = next(node for node in nodes(made, "cell") if node.title.startswith("dm"))
    student = nodes(made, "evaluation")[0]
    records = [finished(made, node, 4.0, 10, profile="smoke") for node in (cell, student)]
    forecast(made, Speeds.of(records))
    assert cell.forecast_s is None and student.forecast_s is None


def test_references_beyond_the_limit_are_left_out_with_their_forecast(tmp_path, monkeypatch):
    made = planned()
    student = next(node for node in nodes(made, "evaluation") if not node.is_reference)
    seen = finished(made, student, 100.0 * student.steps, student.steps)
    monkeypatch.setattr(Store, "records", lambda self: iter([(tmp_path, seen)]))
    left_out = limit_references(made, Store(tmp_path), 60.0)
    assert {node.is_reference for node in left_out} == {True}
    assert all(node.state == "unmeasured" and "not measured (≈" in node.reason for node in left_out)
    assert limit_references(planned(), Store(tmp_path), 1e9) == []


def test_only_a_reported_reference_that_chooses_its_rate_trains_one_more_student():
    trained = {
        (protocol, node.document.reported): node.document.students
        for protocol in ("hard", "real")
        for node in nodes(planned(protocols=[protocol]), "evaluation")
        if node.is_reference and node.document.choice is None
    }
    assert trained == {("hard", False): 2, ("real", True): 3}


def test_an_update_on_a_larger_batch_is_forecast_from_smaller_ones():
    assert seconds_per_update({10: 2.0}, 10) == 2.0
    assert seconds_per_update({10: 2.0, 100: 11.0}, 256) == pytest.approx(26.6)
    assert 2.0 < seconds_per_update({10: 2.0}, 256) < 2.0 * 25.6


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (21600, "6 h")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_titles_of_students_say_whose_recipe_they_follow():
    made = planned(methods=["dm", "dsa"], protocols=["native"])
    titles = [node.title for node in nodes(made, "evaluation")]
    assert len(set(titles)) == len(titles)
    assert any(title.startswith("random (recipe of dsa) ipc 1 r0 · native") for title in titles)


def test_titles_say_which_data_set_and_condensing_network_where_there_are_several():
    view = [{"name": "train_size", "size": 200}]
    several = planned(
        methods=["dm", "kmeans"], archs=["convnet2-w8", "convnet1-w8"], seeds={"condense": 1},
        datasets=["digits", {"name": "digits", "view": view}], preprocess=["meanstd", "zca-kornia"],
    )  # fmt: skip
    titles = [node.title for node in several.nodes.values()]
    assert len(set(titles)) == len(titles)
    assert "dm ipc 1 digits [train_size 200] zca-kornia convnet1-w8-in r0" in titles
    assert "random ipc 1 digits meanstd r0" in titles  # no network takes part


def test_titles_are_short_where_there_is_one_data_set_and_network():
    titles = {node.title for node in planned(methods=["dm", "kmeans"], seeds={"condense": 1}).nodes.values()}
    assert {"dm ipc 1 r0", "full", "features digits convnet2-w32-in r0"} <= titles
    assert "dm ipc 1 r0 · hard@2 convnet2-w32-in e0" in titles


def test_of_cells_that_are_skipped_no_preset_is_missed():
    plan = planned(methods=["mtt"], budget={"ipc": [15, 500]}, profile="short")
    made = {node.title.split(" r")[0] for node in plan.nodes.values() if node.title.startswith("mtt")}
    assert made == {"mtt ipc 15"}, "500 are more images than a class has"
    assert plan.notes == ["mtt: no preset for ipc 15, using that of ipc 10"]
