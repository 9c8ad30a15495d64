"""Controls: the initialisation of every distiller as a row, and random images with the experts' labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ddbench import CondensedSet, Params, Selection, Selector
from ddbench.blocks.experts import Experts, build
from ddbench.blocks.sampling import first_of_each_class
from ddbench.blocks.teachers import expert_logits
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.roles import CONTROLS
from ddbench.core.specs import Budget
from ddbench.testing.compare import difference
from ddbench_plugins.random_best_of_k.method import RandomBestOfK
from ddbench_plugins.random_best_of_k.params import RandomBestOfKParams
from ddbench_plugins.random_soft.method import RandomSoft
from ddbench_plugins.random_soft.params import RandomSoftParams
from tests.fakes import FakeContext, run, toy
from tests.unit.plan.test_planner import nodes, planned, rows

# ---------------------------------------------------------------------------------------------------------------- plan


MTT3 = {"name": "mtt", "label": "mtt", "params": {"experts": 3}}


def cells(made, row):
    return [node.document for node in nodes(made, "cell") if node.document.label == row]


def experts_of(documents):
    return {document.artifacts["experts"][1] for document in documents}


def test_every_distiller_gets_its_initialisation_as_a_row():
    made = planned(methods=["dm", "kmeans", "mtt"], controls=True)
    assert rows(made) == [
        "full", "random", "random_soft", "random@bytes (for dm, …)", "dm", "dm (0 steps)", "kmeans", "mtt",
        "mtt (0 steps)",
    ]  # fmt: skip
    (zero,) = {document.cell.params["iterations"] for document in cells(made, "dm (0 steps)")}
    assert zero == 0


def test_methods_that_are_nothing_but_controls_are_installed():
    assert all(name in installed().methods for name in CONTROLS)


def test_without_controls_there_are_none():
    assert rows(planned(methods=["mtt"])) == ["full", "random", "mtt"]


def test_the_initialisation_keeps_the_rows_own_parameters():
    made = planned(methods=[{"name": "dm", "label": "mine", "params": {"init": "noise"}}], controls=True)
    assert {document.cell.params["init"] for document in cells(made, "mine (0 steps)")} == {"noise"}


def test_random_soft_reads_the_experts_of_the_method_it_stands_beside():
    made = planned(methods=[MTT3], controls=True)
    assert experts_of(cells(made, "random_soft")) == experts_of(cells(made, "mtt"))
    assert len(nodes(made, "artifact")) == 1


def test_methods_that_share_a_pool_share_the_control():
    made = planned(methods=["mtt", "datm", "ftd", "tesla"], controls=True)
    assert [row for row in rows(made) if row.startswith("random_soft")] == ["random_soft"]


def test_methods_with_other_pools_have_controls_of_their_own():
    made = planned(methods=[MTT3, "datm"], controls=True)
    labels = [row for row in rows(made) if row.startswith("random_soft")]
    assert labels == ["random_soft (for mtt)", "random_soft (for datm)"]
    assert [experts_of(cells(made, label)) for label in labels] == [
        experts_of(cells(made, "mtt")), experts_of(cells(made, "datm"))
    ]  # fmt: skip


def test_set_reaches_controls_and_only_with_controls():
    made = planned(methods=["mtt"], controls=True, set={"random_soft": {"snapshots": 2}})
    assert {document.cell.params["snapshots"] for document in cells(made, "random_soft")} == {2}
    with pytest.raises(UsageError, match="not among the methods"):
        planned(methods=["mtt"], set={"random_soft": {"snapshots": 2}})


def test_native_holds_what_has_a_recipe_of_its_own_and_random_under_it():
    made = planned(methods=["mtt", "kmeans"], controls=True, protocols=["native"])
    assert rows(made) == [
        "random_soft", "random (recipe of random_soft)", "mtt", "random (recipe of mtt)",
        "random_soft (recipe of mtt)", "mtt (0 steps)", "random (recipe of mtt (0 steps))",
    ]  # fmt: skip


def test_soft_labels_stand_under_the_recipe_of_the_methods_that_share_their_experts():
    made = planned(methods=[MTT3, "datm"], controls=True, protocols=["native"])
    twins = {row for row in rows(made) if row.startswith("random_soft") and "recipe of" in row}
    assert twins == {"random_soft (for mtt) (recipe of mtt)", "random_soft (for datm) (recipe of datm)"}
    entries = [entry for entry in made.entries if entry.row == "random_soft (for datm) (recipe of datm)"]
    recipes = {made.nodes[made.nodes[entry.evaluation].document.recipe.key].document.label for entry in entries}
    assert recipes == {"datm"}


def test_a_control_never_takes_the_cells_of_another_row():
    named = [{"name": "dm", "label": "x"}, {"name": "dm", "label": "x (0 steps)", "params": {"init": "noise"}}]
    with pytest.raises(UsageError, match=r"two rows are both called 'x \(0 steps\)', one of them a control"):
        planned(methods=named, controls=True)


def test_a_row_of_0_steps_needs_no_control():
    made = planned(methods=["dm"], controls=True, set={"dm": {"iterations": 0}})
    assert rows(made) == ["full", "random", "dm (iterations=0)"]


def test_without_val_there_is_no_snapshot_to_choose():
    def skips(**content):
        made = planned(methods=["mtt"], controls=True, split="paper", protocols=["hard-fixed"], **content)
        return {entry.skip for entry in made.entries if entry.row == "random_soft"}

    assert skips() == {
        "there is no val to choose the experts' snapshot on: set random_soft.snapshots=1 for the last one"
    }
    assert skips(set={"random_soft": {"snapshots": 1}}) == {None}


# --------------------------------------------------------------------------------------------------------- random_soft

FAST = {"experts": 3, "expert_epochs": 4, "expert_batch": 32, "expert_lr": 0.2, "snapshots": 2}


class Scored(FakeContext):
    """Scores the sets that it is shown with numbers that are given in advance."""

    def score(self, condensed):
        self.shown = [*getattr(self, "shown", []), condensed]
        return self.scores[len(self.shown) - 1]


@pytest.fixture
def ctx(tmp_path):
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), tmp_path, RandomSoftParams(**FAST).pool)
    return Scored(toy(), toy((2, 2, 2), seed=9), Budget(ipc=2), artifacts={"experts": tmp_path})


def finished(ctx, scores):
    ctx.scores = scores
    method = RandomSoft(RandomSoftParams(**FAST))
    method.prepare(ctx)
    while not method.done(ctx):
        method.step(ctx)
        ctx.step += 1
    return method, method.finalise(ctx)


@pytest.mark.parametrize(("scores", "t"), [([50.0, 60.0], 4), ([60.0, 50.0], 2), ([60.0, 60.0], 2)])
def test_labels_are_the_mean_logits_of_all_experts_at_the_snapshot_that_val_prefers(ctx, scores, t):
    method, condensed = finished(ctx, scores)
    pool, images = Experts(ctx.artifacts["experts"]), ctx.train.images(first_of_each_class(ctx))
    logits = [expert_logits(ctx.build_model(seed=0), pool.snapshot(expert, t), images) for expert in range(3)]
    torch.testing.assert_close(condensed.labels, torch.stack(logits).mean(0).softmax(1))
    assert (condensed.label_space, method.diagnostics(ctx)["snapshot"]) == ("probs", t)
    assert torch.equal(condensed.indices, first_of_each_class(ctx))
    assert condensed.aux["classes"].tolist() == [0, 0, 1, 1, 2, 2]


def test_real_images_count_as_stored_at_their_source(ctx):
    _, condensed = finished(ctx, [1.0, 2.0])
    assert (condensed.storage.images, condensed.storage.labels) == (6 * 64, 6 * 3 * 4)


def test_a_single_snapshot_is_the_last_and_needs_no_val(ctx):
    method = RandomSoft(RandomSoftParams(**{**FAST, "snapshots": 1}))
    condensed = run(method, ctx)  # Scored.score would fail: no scores are given
    assert (method.chosen, method.params.steps) == (4, 1)
    torch.testing.assert_close(condensed.labels.sum(1), torch.ones(6))


def test_more_snapshots_than_there_are_try_each_once(ctx):
    method = RandomSoft(RandomSoftParams(**{**FAST, "snapshots": 9}))
    method.prepare(ctx)
    assert method.tried == [1, 2, 3, 4]


def selected(ctx, indices, weights=None):
    """What a selector makes of these images."""
    selector = Selector(Params())
    selector.selection = Selection(indices, weights)
    return selector.finalise(ctx)


def test_it_labels_the_images_of_the_set_that_it_starts_from(ctx):
    chosen = torch.cat([ctx.train.of_class(c)[-2:] for c in (2, 0, 1)])
    ctx.initial = selected(ctx, chosen, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    _, condensed = finished(ctx, [50.0, 60.0])
    assert torch.equal(condensed.indices, chosen)
    assert condensed.aux["classes"].tolist() == [2, 2, 0, 0, 1, 1]
    assert torch.equal(condensed.weights, ctx.initial.weights)
    pool = Experts(ctx.artifacts["experts"])
    net = ctx.build_model(seed=0)
    logits = [expert_logits(net, pool.snapshot(expert, 4), ctx.train.images(chosen)) for expert in range(3)]
    torch.testing.assert_close(condensed.labels, torch.stack(logits).mean(0).softmax(1))


def test_started_from_randoms_set_it_is_random_soft(ctx):
    _, alone = finished(ctx, [50.0, 60.0])
    ctx.step, ctx.initial, ctx.shown = 0, selected(ctx, first_of_each_class(ctx)), []
    assert difference(finished(ctx, [50.0, 60.0])[1], alone) is None


def test_it_starts_from_nothing_but_real_images_with_hard_labels(ctx):
    real = selected(ctx, first_of_each_class(ctx))
    soft = replace(real, labels=torch.zeros(6, 3), label_space="probs")
    for other in (soft, CondensedSet.of_images(ctx.train.images(real.indices), real.labels, ctx.train.preprocess)):
        ctx.initial = other
        with pytest.raises(ValueError, match="none of real images with hard labels"):
            finished(ctx, [50.0, 60.0])


# -------------------------------------------------------------------------------------------------------- random@bytes


def at_bytes(made, label):
    return {
        entry.budget.label: (made.nodes[entry.cell].document.cell.budget.ipc, entry.buys.images)
        for entry in made.entries
        if entry.row == label and entry.cell is not None
    }


def test_the_bytes_of_float_pixels_buy_four_times_as_many_real_images():
    made = planned(methods=["dm", "mtt"], controls=True, budget={"ipc": [1, 10]})
    assert at_bytes(made, "random@bytes (for dm, …)") == {"ipc 1": (4, 40), "ipc 10": (40, 400)}
    assert {entry.buys.of for entry in made.entries if entry.buys} == {("dm", "mtt")}


def test_rows_whose_sets_cost_other_bytes_have_a_row_each():
    small = {"name": "dm", "label": "small", "params": {"parametrisation": "upsampled"}}
    made = planned(methods=["dm", small], controls=True, budget={"ipc": [1, 10]})
    assert at_bytes(made, "random@bytes (for dm)") == {"ipc 1": (4, 40), "ipc 10": (40, 400)}, (
        "upsampled by 2 is a quarter of the pixels at four bytes each: as many real images as random has, no row"
    )


def test_labels_cost_bytes_too():
    """Ten logits are 40 bytes beside 4 × 64: 296 / 64 is 4 images each, 24 · 296 / 64 is 111 for a class of 24."""
    soft = {"name": "datm", "label": "soft"}
    hard = {"name": "datm", "label": "hard", "params": {"labels": "hard"}}
    made = planned(methods=[soft, hard], controls=True, budget={"ipc": [24]})
    assert at_bytes(made, "random@bytes (for soft)") == {"ipc 24": (111, 1110)}
    assert at_bytes(made, "random@bytes (for hard)") == {"ipc 24": (96, 960)}


def test_pixels_of_a_byte_buy_what_random_has_and_only_labels_and_sizes_make_a_row_of_their_own():
    """24 · 104 / 64 is 39 for a class of 24; a quarter of the pixels, a byte each, is 6 of 24 images."""
    small = {"name": "dm", "label": "small", "params": {"parametrisation": "upsampled"}}
    made = planned(methods=["dm", "mtt", "datm", small], controls=True, budget={"ipc": [24]})
    rows = {entry.row for entry in made.entries if entry.role.kind == "at_uint8"}
    assert rows == {"random@uint8 (for datm)", "random@uint8 (for small)"}
    assert at_bytes(made, "random@uint8 (for datm)") == {"ipc 24": (39, 390)}
    assert at_bytes(made, "random@uint8 (for small)") == {"ipc 24": (6, 60)}
    told = {entry.row: entry.buys.uint8 for entry in made.entries if entry.buys}
    assert told["random@bytes (for dm, …)"] == 240, "as many as random has: no row, and records say so"
    assert told["random@bytes (for datm)"] == told["random@uint8 (for datm)"] == 390


def test_students_of_equal_bytes_train_as_long_as_those_of_the_set():
    made = planned(methods=["dm"], controls=True, protocols=["hard-fixed"], budget={"ipc": [10]})
    params = {
        row: made.nodes[entry.evaluation].document.eval.protocol_params
        for row in ("dm", "random@bytes (for dm)")
        for entry in made.entries
        if entry.row == row
    }
    assert params["dm"] == params["random@bytes (for dm)"]


def test_bytes_that_buy_more_than_there_is_are_a_skip_that_says_so():
    made = planned(methods=["dm"], controls=True, budget={"ipc": [1, 31]})
    (reason,) = {entry.skip for entry in made.entries if entry.buys and entry.cell is None}
    assert reason is not None and reason.startswith("ipc 124 of real images cost as much: ipc is at most 121 here")


def test_where_classes_are_short_the_others_get_what_their_bytes_buy():
    """30 of each at four bytes a pixel pay for 1200 real images; 120 of each would leave 7 of these unspent."""
    made = planned(methods=["dm"], controls=True, budget={"ipc": [30]})
    (entry,) = [entry for entry in made.entries if entry.buys and entry.r == entry.e == 0]
    counts = entry.table.data.info.counts
    afforded = {ipc: sum(min(ipc, n) for n in counts) for ipc in range(116, 122)}
    assert max(afforded.values()) < 1200
    assert made.nodes[entry.cell].document.cell.budget.ipc == 121
    assert entry.buys.images == afforded[121]


def test_selections_need_no_row_of_equal_bytes():
    assert rows(planned(methods=["kmeans"], controls=True)) == ["full", "random", "kmeans"]


@pytest.mark.parametrize("fraction", [0.01, 0.02, 0.1, 0.2])
def test_a_share_buys_no_more_than_its_bytes_and_no_less_than_it_can(fraction):
    made = planned(methods=["dm"], controls=True, budget={"fraction": [fraction]})
    (entry,) = [entry for entry in made.entries if entry.buys and entry.r == entry.e == 0]
    affordable = 4 * entry.n
    assert entry.buys.images <= affordable
    counts = made.grid.data[0].info.counts
    more = made.nodes[entry.cell].document.cell.budget.fraction * (1 + 1e-6)
    assert sum(Budget(fraction=more).resolve(counts)) > affordable


def test_bytes_for_less_than_one_real_image_of_each_class_buy_none():
    tiny = {"name": "dm", "label": "tiny", "params": {"parametrisation": "upsampled", "factor": 4}}
    for budget in ({"ipc": [1]}, {"fraction": [0.0084]}):
        made = planned(methods=[tiny], controls=True, budget=budget)
        assert [entry for entry in made.entries if entry.buys] == []


def test_no_real_images_are_bought_where_nobody_needs_them():
    rules = [{"method": "dm", "ipc": 10}, {"method": ["random@bytes", "random@uint8"], "ipc": 24}]
    made = planned(methods=["dm", "datm"], controls=True, budget={"ipc": [1, 10, 24]}, exclude=rules)
    bought = {(entry.row, entry.budget.label) for entry in made.entries if entry.buys}
    assert bought == {
        ("random@bytes (for dm)", "ipc 1"), ("random@bytes (for datm)", "ipc 1"), ("random@bytes (for datm)", "ipc 10"),
        ("random@uint8 (for datm)", "ipc 10"),
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------- random_best_of_k


def test_a_choice_on_val_stands_beside_the_choice_among_random_sets():
    chosen = {"name": "dm", "label": "chosen", "params": {"selection": "val", "iterations": 4}}
    made = planned(methods=[chosen], controls=True)
    assert "random_best_of_k" in rows(made)
    assert {document.cell.params["k"] for document in cells(made, "random_best_of_k")} == {4}


def test_what_reports_its_last_step_chooses_nothing():
    assert "random_best_of_k" not in rows(planned(methods=["dm"], controls=True))


def test_it_keeps_the_set_that_is_best_on_val_the_first_of_equals():
    for scores, best in (([1.0, 3.0, 2.0], 1), ([2.0, 2.0, 1.0], 0), ([0.0, 0.0, 5.0], 2)):
        ctx = Scored(toy(), toy((2, 2, 2), seed=9), Budget(ipc=2))
        ctx.scores = scores
        made = run(RandomBestOfK(RandomBestOfKParams(k=3)), ctx)
        assert torch.equal(made.indices, first_of_each_class(ctx, draw=best))
        assert len({tuple(condensed.indices.tolist()) for condensed in ctx.shown}) == 3


def test_one_set_is_random_and_needs_no_val():
    ctx = Scored(toy(), toy((2, 2, 2), seed=9), Budget(ipc=2))  # its score would fail: no scores are given
    made = run(RandomBestOfK(RandomBestOfKParams(k=1)), ctx)
    assert torch.equal(made.indices, first_of_each_class(ctx))
