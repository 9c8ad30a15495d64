"""The evaluation stage: the test split stays closed until the end, and chooses nothing."""

from __future__ import annotations

import pytest
import torch

from ddbench.core.api import CondensedSet, Recipe
from ddbench.core.errors import NodeFailureError
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.data.space.split import open_splits
from ddbench.plan import grid, planner, suite
from ddbench.work.evaluate import stage


def document(protocol="hard", row="random", **content):
    parsed = suite.parse(
        {"methods": ["random", "dm"], "budget": {"ipc": [2]}, "profile": "smoke", "archs": ["convnet2-w8"],
         "protocols": [protocol], **content}, "test",
    )  # fmt: skip
    made = planner.make(grid.build(parsed, installed(), profile("smoke")))
    entry = next(entry for entry in made.entries if entry.row == row and (entry.r, entry.e) == (0, 0))
    return made.nodes[entry.evaluation].document


def evaluation(doc, condensed=None, **more):
    data = doc.cell.data
    if condensed is None:
        train, _ = open_splits(data, device="cpu")
        index = torch.cat([train.of_class(c)[:2] for c in range(10)])
        condensed = CondensedSet.of_images(train.images(index), train.labels[index], train.preprocess, Recipe(lr=0.02))
    protocol = installed().protocols.get(doc.eval.protocol)
    return stage.Evaluation(
        doc.eval,
        protocol,
        data,
        condensed,
        torch.device("cpu"),
        installed(),
        whole=doc.whole,
        **more,
    )


def test_the_test_split_is_opened_once_after_all_training(monkeypatch):
    events = []
    real = stage.open_test

    def opened(*args, **kwargs):
        events.append("test")
        return real(*args, **kwargs)

    monkeypatch.setattr(stage, "open_test", opened)
    evaluation(document(), tick=lambda done, total, state: events.append("update")).run()
    assert events.count("test") == 1
    assert events[-1] == "test"


def test_other_test_labels_change_the_score_and_nothing_else(monkeypatch):
    honest = evaluation(document()).run()
    real = stage.open_test

    def shuffled(*args, **kwargs):
        split = real(*args, **kwargs)
        split.labels = split.labels.roll(37)
        return split

    monkeypatch.setattr(stage, "open_test", shuffled)
    other = evaluation(document()).run()
    assert other.selection == honest.selection
    assert torch.equal(other.predictions, honest.predictions)
    assert other.metrics["val_top1"] == honest.metrics["val_top1"]
    assert other.metrics["top1"] != honest.metrics["top1"]


def test_the_chosen_rate_is_the_best_on_val_and_all_tried_are_counted():
    selection = evaluation(document("noaug")).run().selection
    assert selection["tried"] == len(selection["val_top1"]) == 3  # the grid of two and the set's own
    assert selection["val_top1"][f"{selection['lr']:g}"] == max(selection["val_top1"].values())


@pytest.mark.parametrize("protocol", ["hard", "hard-long"])
def test_the_learned_rate_is_told_and_not_tried(protocol):
    selection = evaluation(document(protocol)).run().selection
    assert set(selection["val_top1"]) == {"0.01", "0.03"}
    assert (selection["tried"], selection["own_lr"], selection["learned"]) == (2, 0.02, False)
    assert selection["lr"] != 0.02


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "lamb"])
def test_the_rate_of_another_optimiser_is_no_candidate(optimiser):
    train, _ = open_splits(document("noaug").cell.data, device="cpu")
    index = torch.cat([train.of_class(c)[:2] for c in range(10)])
    recipe = Recipe(lr=3e-4, optimiser=optimiser)
    condensed = CondensedSet.of_images(train.images(index), train.labels[index], train.preprocess, recipe)
    selection = evaluation(document("noaug"), condensed).run().selection
    assert set(selection["val_top1"]) == {"0.01", "0.03"} and "own_lr" not in selection


def test_a_choice_is_reused_without_trying_again():
    chosen = {"lr": 0.03, "learned": False}
    assert evaluation(document(), chosen=chosen).run().selection == {
        "lr": 0.03,
        "learned": False,
        "tried": 1,
        "val_top1": {},
        "own_lr": 0.02,
    }


def test_where_the_learned_rate_won_each_repetition_uses_its_own():
    assert evaluation(document(), chosen={"lr": 0.9, "learned": True}).run().selection["lr"] == 0.02


def test_the_same_student_sees_the_same_whatever_was_tried_before():
    tried = evaluation(document()).run()
    direct = evaluation(document(), chosen={"lr": tried.selection["lr"], "learned": False}).run()
    assert torch.equal(tried.logits, direct.logits)


def test_references_train_on_train_and_val_and_choose_on_val_first():
    doc = document(row="full")
    train, val = open_splits(doc.cell.data, device="cpu")
    seen: list[int] = []
    whole = evaluation(
        doc, stage.as_set(train, CondensedSet.of_images(train.images()[:1], train.labels[:1], train.preprocess))
    )
    fit = whole._fit

    def spy(lr, *, final):
        student = fit(lr, final=final)
        seen.append(final)
        return student

    whole._fit = spy
    result = whole.run()
    assert seen == [False, False, True]
    assert result.metrics["val_top1"] == {}, "val is part of the final training set: it measures nothing there"
    assert result.n_test == 300
    assert len(stage.as_set(stage.open_whole(whole.data, device="cpu"), whole.condensed)) == len(train) + len(val)


@pytest.mark.parametrize("chosen", [None, {"lr": 0.03, "learned": False}], ids=["it chooses", "another one chose"])
def test_a_reference_that_only_chooses_never_trains_on_val(monkeypatch, chosen):
    """Its student is the one that was best on val: learning from val as well would be work for nothing."""
    doc = document(row="full")
    doc = doc.model_copy(update={"eval": doc.eval.model_copy(update={"r": -1})})
    assert doc.whole and not doc.reported
    monkeypatch.setattr(stage, "open_whole", None)
    train, _ = open_splits(doc.cell.data, device="cpu")
    condensed = stage.as_set(train, CondensedSet.of_images(train.images()[:1], train.labels[:1], train.preprocess))
    updates = []
    result = evaluation(doc, condensed, chosen=chosen, tick=lambda done, total, state: updates.append(total)).run()
    trained = 2 if chosen is None else 1
    assert len(updates) == trained * 10
    assert result.metrics["val_top1"] != {} and result.n_test == 300
    if chosen is None:
        best = max(result.selection["val_top1"].values())
        assert result.metrics["val_top1"]["U"] == best, "it is the student that was chosen"


def test_a_choosing_reference_that_was_interrupted_tests_the_same_student(monkeypatch):
    doc = document(row="full")
    doc = doc.model_copy(update={"eval": doc.eval.model_copy(update={"r": -1})})
    train, _ = open_splits(doc.cell.data, device="cpu")
    condensed = stage.as_set(train, CondensedSet.of_images(train.images()[:1], train.labels[:1], train.preprocess))
    monkeypatch.setattr(stage, "open_whole", None)
    straight = evaluation(doc, condensed).run()
    trials = [{"lr": float(lr), "val_top1": top1} for lr, top1 in straight.selection["val_top1"].items()]
    resumed = evaluation(doc, condensed, resumed={"trials": trials}).run()
    assert torch.equal(resumed.logits, straight.logits) and resumed.selection == straight.selection


def test_native_follows_the_sets_recipe():
    doc = document("native", row="dm")
    recipe = Recipe(lr=0.02, updates=7, batch=3, augmentation="none", order="fixed")
    updates = []
    result = evaluation(doc, recipe=recipe, tick=lambda done, total, state: updates.append(total)).run()
    assert result.selection["lr"] == 0.02
    assert updates == [7] * 7
    assert result.metrics["updates"] == 7 and "recipe_updates" not in result.metrics


@pytest.mark.parametrize(
    ("recipe", "images", "wanted"), [(Recipe(), 20, 4), (Recipe(batch=3), 7, 12), (Recipe(updates=99), 7, 99)]
)
def test_a_student_is_trained_as_long_as_the_set_whose_recipe_it_follows(recipe, images, wanted):
    updates = []
    doc = document("native", row="dm")
    told = evaluation(
        doc, recipe=recipe, recipe_images=images, tick=lambda done, total, state: updates.append(total)
    ).run()
    made = min(wanted, 10)  # the longest that profile smoke allows
    assert updates == [made] * made == [told.metrics["updates"]] * made
    assert told.metrics.get("recipe_updates") == (wanted if wanted > made else None)


def test_under_other_protocols_the_params_say_how_long_a_student_trains():
    assert not {"updates", "recipe_updates"} & evaluation(document()).run().metrics.keys()


def soft_set(label_space, labels):
    doc = document()
    train, _ = open_splits(doc.cell.data, device="cpu")
    plain = CondensedSet.of_images(train.images()[: len(labels)], train.labels[: len(labels)], train.preprocess)
    return CondensedSet(plain.images, labels, label_space, plain.preprocess, plain.recipe, plain.storage)


def test_soft_learns_softmax_of_logits_and_refuses_centred_labels():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    doc = document("soft")
    from_logits = evaluation(doc, soft_set("logits", logits)).run()
    from_probs = evaluation(doc, soft_set("probs", logits.softmax(1))).run()
    assert torch.equal(from_logits.logits, from_probs.logits)
    with pytest.raises(NodeFailureError, match="centred labels are no probabilities"):
        evaluation(doc, soft_set("centred", logits)).run()


def test_hard_takes_the_arg_max_of_soft_labels():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    soft = evaluation(document(), soft_set("logits", logits)).run()
    hard = evaluation(document(), soft_set("hard", logits.argmax(1))).run()
    assert torch.equal(soft.logits, hard.logits)


def test_a_set_of_another_space_is_refused():
    doc = document()
    other = evaluation(doc).condensed
    wrong = CondensedSet(
        other.images,
        other.labels,
        "hard",
        other.preprocess.model_copy(update={"mean": (0.0,)}),
        other.recipe,
        other.storage,
    )
    with pytest.raises(NodeFailureError, match="the set lives in"):
        evaluation(doc, wrong).run()


def test_a_diverging_rate_is_no_choice_and_no_failure():
    doc = document()
    doc.eval.protocol_params["lr"] = [0.01, 1e30]
    selection = evaluation(doc).run().selection
    assert selection["val_top1"]["1e+30"] is None
    assert selection["lr"] == 0.01
    assert selection["tried"] == 2


def test_hard_labels_under_an_mse_recipe_become_one_hot():
    doc = document("native", row="dm")
    labels = torch.arange(10)
    as_hard, as_soft = soft_set("hard", labels), soft_set("probs", torch.eye(10))
    recipe = Recipe(loss="mse", lr=0.02)
    assert torch.equal(
        evaluation(doc, as_hard, recipe=recipe).run().logits, evaluation(doc, as_soft, recipe=recipe).run().logits
    )


def test_a_recipe_that_asks_for_a_teacher_is_refused():
    with pytest.raises(NodeFailureError, match="asks for a teacher"):
        evaluation(document("native", row="dm"), recipe=Recipe(teacher="t")).run()


def test_train_accuracy_is_recorded_for_soft_labels_too():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    assert 0.0 <= evaluation(document("soft"), soft_set("logits", logits)).run().metrics["train_top1"] <= 100.0


def test_a_diverging_student_is_a_nan():
    with pytest.raises(NodeFailureError, match="the student's loss is") as error:
        evaluation(document("native", row="dm"), recipe=Recipe(lr=1e30)).run()
    assert error.value.status == "nan"


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (lambda logits: logits * float("nan"), "nan", "gives logits that are NaN or infinite"),
        (lambda logits: logits.double() * 1e300, "nan", "gives logits that are NaN or infinite"),
        (lambda logits: torch.cat([logits, logits[:, :1]], 1), "failed", "gives [128, 11], not logits [128, 10]"),
        (lambda logits: logits[:, 0], "failed", "gives [128], not logits [128, 10]"),
        (lambda logits: logits[:1], "failed", "gives [1, 10], not logits [128, 10]"),
        (lambda logits: logits.numpy(), "failed", "gives a ndarray, not logits [128, 10]"),
    ],
)
def test_what_is_no_prediction_is_no_result(monkeypatch, answer, status, told):
    doc = document()
    protocol = stage.import_target(installed().protocols.get("hard").target)
    fit = protocol.fit

    def spoilt(self, *given):
        predictor = fit(self, *given)
        return lambda images: answer(predictor(images))

    monkeypatch.setattr(protocol, "fit", spoilt)
    with pytest.raises(NodeFailureError) as raised:
        evaluation(doc, chosen={"lr": 0.02, "learned": False}).run()
    assert raised.value.status == status
    assert f"the predictor of protocol hard@2 for convnet2-w8-in {told}" in str(raised.value)
    assert "docs/reference/hooks/protocols.md" in str(raised.value)


def test_a_rate_whose_predictions_are_nan_is_not_chosen(monkeypatch):
    doc = document()
    protocol = stage.import_target(installed().protocols.get("hard").target)
    fit, best = protocol.fit, evaluation(doc).run().selection

    def spoilt(self, condensed, make_model, seed, inputs):
        predictor = fit(self, condensed, make_model, seed, inputs)
        return (lambda images: predictor(images) / 0.0) if inputs.lr == best["lr"] else predictor

    monkeypatch.setattr(protocol, "fit", spoilt)
    selection = evaluation(doc).run().selection
    assert selection["val_top1"] == best["val_top1"] | {repr(best["lr"]): None}
    assert selection["lr"] != best["lr"]


def test_what_cannot_be_called_is_no_predictor(monkeypatch):
    protocol = stage.import_target(installed().protocols.get("hard").target)
    monkeypatch.setattr(protocol, "fit", lambda self, *given: None)
    with pytest.raises(NodeFailureError, match="`fit` of protocol hard@2 returns a NoneType, not a function") as raised:
        evaluation(document()).run()
    assert raised.value.status == "failed"


def test_what_a_student_writes_into_the_set_does_not_reach_the_next_learning_rate(monkeypatch):
    protocol = stage.import_target(installed().protocols.get("hard").target)
    fit, honest = protocol.fit, evaluation(document()).run()

    def spoils(self, condensed, *given):
        predictor = fit(self, condensed, *given)
        condensed.labels.zero_()
        condensed.images.zero_()
        return predictor

    monkeypatch.setattr(protocol, "fit", spoils)
    spoilt = evaluation(document())
    before = spoilt.condensed.copy()
    found = spoilt.run()
    assert len(found.selection["val_top1"]) > 1
    assert found.selection == honest.selection and torch.equal(found.logits, honest.logits)
    assert torch.equal(spoilt.condensed.images, before.images) and torch.equal(spoilt.condensed.labels, before.labels)
