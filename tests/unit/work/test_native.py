"""Under `native` students obey every field of a recipe, and those of schema 1 train as they did before there was another."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks.augment import DSA
from ddbench.core.api import CondensedSet, Recipe
from ddbench.core.errors import NodeFailureError
from ddbench.core.keys import seed_of, student_seed
from ddbench.data.space.split import open_splits
from ddbench.models import build_model
from ddbench.work.evaluate import sgd
from tests.unit.work.test_stage import document, evaluation

ARCH = "convnet2-w8-in"


@pytest.fixture(scope="module")
def doc():
    return document("native", row="dm")


def student(doc, recipe, **more):
    """The result of a student that follows a recipe, and its network."""
    made = evaluation(doc, recipe=recipe, **more)
    nets, fresh = [], made._student
    made._student = lambda seed: nets.append(fresh(seed)) or nets[-1]
    return made.run(), nets[-1], made.condensed


def flat(net):
    return torch.cat([one.detach().flatten() for one in net.parameters()])


def fresh(seed, arch=ARCH):
    return build_model(arch, channels=1, classes=10, size=8, seed=seed)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(lr=0.02, updates=9, batch=3, augmentation="none", order="fixed"),
        Recipe(loss="mse", batch=6, momentum=0.5, weight_decay=0.01),
    ],
    ids=["plain", "fixed", "mse"],
)
def test_recipes_of_schema_1_train_to_the_bits_of_before(doc, recipe):
    """The loop that students were trained by when there was no schema 2, with torch's own SGD."""
    assert recipe.schema_version == 1
    result, net, condensed = student(doc, recipe)
    spec, labels = doc.eval, condensed.labels
    seed = student_seed(spec.master, "digits", spec.r, spec.e, spec.arch)
    model = fresh(seed_of(seed, "model"))
    draws, order = (torch.Generator().manual_seed(seed_of(seed, use)) for use in ("augmentation", "order"))
    dsa, batch, lr = DSA.for_dataset(flip=False), recipe.batch or 256, recipe.lr or 0.01
    updates = recipe.updates or 4 * -(-20 // batch)
    updates = min(updates, 10)

    def optimiser(rate):
        return torch.optim.SGD(
            model.parameters(), rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, foreach=True
        )

    steps, rest = optimiser(lr), torch.empty(0, dtype=torch.int64)
    for done in range(updates):
        if done == -(-updates // 2):
            steps = optimiser(0.1 * lr)
        if not len(rest):
            rest = torch.arange(20) if recipe.order == "fixed" else torch.randperm(20, generator=order)
        index, rest = rest[:batch], rest[batch:]
        x = condensed.images[index]
        if recipe.augmentation == "dsa":
            x = dsa(x, dsa.draw(draws, n=len(x), pick="batch"))
        logits = model(x)
        if recipe.loss == "mse":
            loss = (logits - functional.one_hot(labels[index], 10).float()).square().mean(1).sum() / len(index)
        else:
            loss = functional.cross_entropy(logits, labels[index], reduction="none").sum() / len(index)
        for parameter, gradient in zip(
            model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            parameter.grad = gradient
        steps.step()
    assert result.metrics["updates"] == updates
    assert torch.equal(flat(net), flat(model))


def test_ordered_batches_with_a_rate_each_from_an_initial_state_are_a_hand_loop(doc):
    """The student's parameters are those of a plain float64 loop from that state, to 1e-6; another start is another."""
    rates, state = (0.3, 0.1, 0.05, 0.2, 0.1), flat(fresh(7))
    recipe = Recipe(
        lrs=rates, batch=5, order="fixed", augmentation="none", momentum=0.0, weight_decay=0.0, initial=True
    )
    result, net, condensed = student(doc, recipe, initial=state)
    assert result.metrics["updates"] == 5, "as many as there are rates"
    model = fresh(7).double()
    images = condensed.images.double()
    for u, rate in enumerate(rates):
        at = 5 * u % 20
        loss = functional.cross_entropy(model(images[at : at + 5]), condensed.labels[at : at + 5])
        for one, gradient in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True):
            one.data -= rate * gradient
    torch.testing.assert_close(flat(net).double(), flat(model), rtol=0, atol=1e-6)
    again, _, _ = student(doc, recipe, initial=state)
    assert torch.equal(again.logits, result.logits)
    other, _, _ = student(doc, recipe, initial=flat(fresh(8)))
    assert not torch.allclose(other.logits, result.logits)


def test_rates_come_again_where_the_recipe_names_more_updates(doc):
    rates = []

    def look(done, total, state):
        rates.append(state()["current"]["state"]["trainer"]["lr"])

    result, _, _ = student(doc, Recipe(lrs=(0.3, 0.1), updates=7, order="fixed", augmentation="none"), tick=look)
    assert rates == [0.3, 0.1, 0.3, 0.1, 0.3, 0.1, 0.3] and result.metrics["updates"] == 7
    assert result.selection["lr"] == 0.3, "the first of them is what the record names"


def trained_by(doc, recipe, monkeypatch):
    """What the trainer is told of a recipe."""
    told = []

    class Spy(sgd.Trainer):
        def __init__(self, model, fetch, targets, recipe, **more):
            told.append(recipe)
            super().__init__(model, fetch, targets, recipe, **more)

    monkeypatch.setattr(sgd, "Trainer", Spy)
    student(doc, recipe)
    return told[-1]


def test_optimiser_schedule_and_warm_up_reach_the_trainer(doc, monkeypatch):
    recipe = Recipe(
        optimiser="adamw", betas=(0.5, 0.9), weight_decay=0.01, lr=0.002, schedule="cosine", lr_end=0.01, warmup=3,
        updates=8,
    )  # fmt: skip
    told = trained_by(doc, recipe, monkeypatch)
    assert (told.optimiser, told.betas, told.weight_decay) == ("adamw", (0.5, 0.9), 0.01)
    assert [told.rates.rate(u) for u in range(3)] == pytest.approx([0.002 / 3, 0.004 / 3, 0.002])
    assert told.rates.rate(8) == pytest.approx(2e-5)


def test_of_a_recipe_that_is_cut_the_warm_up_is_cut_too(doc, monkeypatch):
    """Profile smoke makes 10 of 100 updates: 2 of 20 are warm-up, and the drops come at their shares of the rest."""
    recipe = Recipe(lr=0.02, updates=100, warmup=20, schedule="drops", drops=(0.5,), drop_factor=0.5)
    told = trained_by(doc, recipe, monkeypatch)
    assert [told.rates.rate(u) for u in range(10)] == pytest.approx([0.01, *[0.02] * 5, *[0.01] * 4])
    result, _, _ = student(doc, recipe)
    assert (result.metrics["updates"], result.metrics["recipe_updates"]) == (10, 100)


def test_a_recipe_with_a_warm_up_that_outlasts_it_ends_in_it(doc, monkeypatch):
    told = trained_by(doc, Recipe(lr=0.02, warmup=1000), monkeypatch)  # 4 passes of one batch
    assert (told.updates, told.warmup, told.rates.rate(3)) == (4, 4, 0.02)


@pytest.mark.parametrize("augmentation", ["one_for_all", "flip_rotate", "composed", "crop_flip"])
def test_augmentations_by_name_change_what_is_learned(doc, augmentation):
    plain, other = (student(doc, Recipe(lr=0.02, augmentation=name))[0] for name in ("none", augmentation))
    assert not torch.allclose(plain.logits, other.logits)


def test_composed_blanks_no_squares_where_batches_are_mixed(doc, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sgd, "named", lambda name, flip, cutout: asked.append(cutout) or real(name, flip, cutout=cutout)
    )
    for share in (0.0, 0.5):
        student(doc, Recipe(lr=0.02, augmentation="composed", cutmix=share))
    assert asked == [True, False]


real = sgd.named


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("labels", ["hard", "probs"])
def test_cutmix_takes_hard_and_soft_labels_under_both_losses(doc, loss, labels):
    base = evaluation(doc).condensed
    given = base.labels if labels == "hard" else functional.one_hot(base.labels, 10).float()
    condensed = CondensedSet(base.images, given, labels, base.preprocess, base.recipe, base.storage)
    plain, mixed = (
        student(doc, Recipe(loss=loss, lr=0.05, cutmix=share), condensed=condensed)[0] for share in (0.0, 1.0)
    )
    assert not torch.allclose(plain.logits, mixed.logits)


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_a_student_that_was_interrupted_ends_alike_whatever_its_recipe(doc, stop):
    recipe = Recipe(
        optimiser="lamb", lr=0.01, schedule="drops", drops=(0.5, 0.75), warmup=3, cutmix=0.5, augmentation="composed",
        batch=6, updates=10,
    )  # fmt: skip
    states = []
    whole, net, _ = student(doc, recipe, tick=lambda done, total, state: states.append(copied(state())))
    rest, other, _ = student(doc, recipe, resumed=states[stop - 1])
    assert torch.equal(whole.logits, rest.logits) and torch.equal(flat(net), flat(other))


def copied(state):
    """As a checkpoint holds it."""
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {name: copied(one) for name, one in state.items()}
    return [copied(one) for one in state] if isinstance(state, list | tuple) else state


def test_students_have_the_norm_that_the_recipe_asks_for(doc):
    result, net, _ = student(doc, Recipe(lr=0.02, norm="bn"))
    assert result.metrics["student"] == "convnet2-w8-bn"
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules())
    named, _, _ = student(doc, Recipe(lr=0.02, norm="in"))
    assert "student" not in named.metrics, "it is the network that the table names"
    plain, _, _ = student(doc, Recipe(lr=0.02))
    assert torch.equal(named.logits, plain.logits)


def test_a_norm_that_the_family_lacks_is_no_result(doc):
    with pytest.raises(NodeFailureError, match="norm 'ln': convnet2 has no norm 'ln': it has in, bn, nn"):
        student(doc, Recipe(norm="ln"))


def test_an_initial_state_with_another_norm_has_that_networks_parameters(doc):
    recipe = Recipe(initial=True, norm="nn", lr=0.02)
    bare = flat(fresh(3, "convnet2-w8-nn"))
    student(doc, recipe, initial=bare)
    with pytest.raises(NodeFailureError, match=r"initial state has shape \[\d+\], convnet2-w8-nn has \d+ parameters"):
        student(doc, recipe, initial=flat(fresh(3)))


def test_a_recipe_whose_set_lacks_the_state_is_no_result(doc):
    with pytest.raises(NodeFailureError, match="asks for an initial state, which the set does not hold"):
        student(doc, Recipe(initial=True))


def test_a_set_of_real_images_follows_it_as_well(doc):
    """A twin has the images that `random` has and the recipe, initial state included, of another set."""
    train, _ = open_splits(doc.cell.data, device="cpu")
    base, index = evaluation(doc).condensed, torch.cat([train.of_class(c)[:2] for c in range(10)])
    real_images = CondensedSet(None, base.labels, "hard", base.preprocess, Recipe(), base.storage, indices=index)
    recipe = Recipe(lrs=(0.1, 0.2), order="fixed", augmentation="none", initial=True)
    of_set, of_indices = (student(doc, recipe, condensed=one, initial=flat(fresh(7)))[0] for one in (base, real_images))
    assert torch.equal(of_set.logits, of_indices.logits)
