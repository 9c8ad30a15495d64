"""Under a recipe with fixed batches another set shows its classes in the order of the set that the recipe came with."""

from __future__ import annotations

import pytest
import torch

from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.work.evaluate.order import arranged

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
