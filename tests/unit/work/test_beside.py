"""What another set's recipe takes for granted: the order of classes in fixed batches, and the mean of labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.work.evaluate.beside import arranged, beside

SPACE = Preprocess(id="meanstd")


def of(classes, *, soft=False, **more):
    """A set whose image i has the value i everywhere."""
    labels = torch.tensor(classes)
    n, aux = len(classes), {"classes": labels} if soft else {}
    images = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1)
    targets = torch.rand(n, 4, generator=torch.Generator().manual_seed(0)) if soft else labels
    return CondensedSet(
        images, targets, "logits" if soft else "hard", SPACE, Recipe(), StorageBytes(0), aux=aux, **more
    )


FIXED = Recipe(order="fixed")


def places(condensed):
    return condensed.images.flatten().long().tolist()


@pytest.mark.parametrize("soft", [False, True])
def test_classes_follow_each_other_as_in_the_other_set(soft):
    made = arranged(of([0, 0, 1, 1, 2, 2]), of([2, 0, 1, 1, 0, 2], soft=soft))
    assert made.labels.tolist() == [2, 0, 1, 1, 0, 2] and places(made) == [4, 0, 2, 3, 1, 5]


def test_classes_take_turns_where_their_numbers_differ():
    made = arranged(of([0, 0, 0, 1, 2, 2]), of([0, 1, 2]))
    assert made.labels.tolist() == [0, 1, 2, 0, 2, 0] and places(made) == [0, 3, 4, 1, 5, 2]


def test_all_that_belongs_to_an_image_moves_with_it():
    weights = torch.arange(4.0)
    before = of([0, 0, 1, 1], soft=True, weights=weights)
    made = arranged(before, of([0, 1, 0, 1]))
    order = torch.tensor(places(made))
    assert order.tolist() == [0, 2, 1, 3] and made.aux["classes"].tolist() == [0, 1, 0, 1]
    assert torch.equal(made.labels, before.labels[order]) and torch.equal(made.weights, weights[order])
    real = CondensedSet(
        None, torch.tensor([0, 0, 1, 1]), "hard", SPACE, Recipe(), StorageBytes(0), indices=torch.tensor([7, 5, 3, 9])
    )
    assert arranged(real, of([1, 0, 1, 0])).indices.tolist() == [3, 7, 9, 5]


def test_only_fixed_batches_need_an_order():
    for recipe, order in ((FIXED, [0, 2, 1, 3]), (Recipe(), [0, 1, 2, 3])):
        assert places(beside(of([0, 0, 1, 1]), replace(of([0, 1, 0, 1]), recipe=recipe))) == order


def test_beside_centred_labels_hard_ones_are_centred_in_place():
    other = replace(of([1, 0], soft=True), label_space="centred", recipe=Recipe(loss="mse"))
    made = beside(of([3, 0]), other)
    assert made.label_space == "centred" and made.aux["classes"].tolist() == [3, 0]
    assert made.labels.tolist() == [[-0.25, -0.25, -0.25, 0.75], [0.75, -0.25, -0.25, -0.25]]
    soft = of([3, 0], soft=True)
    assert beside(soft, other) is soft, "labels that are no classes stay what they are"
    hard = of([3, 0])
    assert beside(hard, replace(other, label_space="probs")) is hard
