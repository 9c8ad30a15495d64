"""What holds for every selector that looks at a recording of training: broken numbers, ties, budgets, permutations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from ddbench.blocks.dynamics import MEASURES
from ddbench.blocks.dynamics_params import kept_epochs
from ddbench.blocks.sampling import class_order, whole_order
from ddbench.core.errors import NodeFailureError
from ddbench.core.plugin.loader import import_target, installed
from ddbench.core.specs import Budget
from ddbench.models.convnet import ConvNet
from tests.fakes import FakeContext, FakeSplit, toy
from tests.recordings import recording
from tests.unit.methods.test_scores import CELL, COUNTS, N, noise

EPOCHS = 80
SETTINGS = {"el2n": {"nets": 2}, "grand": {"nets": 2}, "aum": {}, "ccs": {}, "forgetting": {}, "least_confidence": {},
            "margin": {}, "entropy": {}, "d2": {}, "moderate": {}, "tdds": {}, "deepfool": {}}  # fmt: skip
"""Every selector by dynamics, and what it is told so that two recordings are enough."""
ORDERED = sorted(set(SETTINGS) - {"ccs", "d2", "moderate"})


def method_of(name, **more):
    info = installed().methods.get(name)
    params = import_target(info.params)(epochs=EPOCHS, **SETTINGS[name], **more)
    return import_target(info.target)(params)


def test_no_selector_by_dynamics_is_left_out():
    found = set()
    for info in installed().methods:
        params = import_target(info.params)
        if info.kind == "selection" and any(base.__name__ == "DynamicsSelectorParams" for base in params.__mro__):
            found.add(info.name)
    assert found - {"glister"} == set(
        SETTINGS
    )  # glister takes the network of a recording, and no score: test_greedy.py


@dataclass(frozen=True)
class World:
    """Images, labels, and what two networks said of them in training."""

    images: Tensor
    labels: Tensor
    presented: dict[str, Tensor]
    logits: dict[int, Tensor]
    features: Tensor
    nets: dict[int, ConvNet]

    def context(self, folder, budget=None):
        ctx = FakeContext(FakeSplit(self.images, self.labels), toy((2, 2, 2), seed=9), budget or Budget(ipc=3))
        for name in ("dynamics", "dynamics_1"):
            ctx.artifacts[name] = recording(
                folder / f"{name}-{len(list(folder.iterdir()))}", len(self.labels), EPOCHS, presented=self.presented,
                logits=self.logits, features=self.features, nets=self.nets,
            )  # fmt: skip
        return ctx

    def permuted(self, order):
        return replace(
            self,
            images=self.images[order],
            labels=self.labels[order],
            presented={name: values[:, order] for name, values in self.presented.items()},
            logits={epoch: values[order] for epoch, values in self.logits.items()},
            features=self.features[order],
        )


def some_net(seed):
    torch.manual_seed(seed)
    return ConvNet(2, 8, "in", channels=1, classes=3, size=8)


def world():
    """Scores that no two images share: image i is forgotten i times."""
    split = toy(COUNTS)
    correct = torch.ones(EPOCHS, N)
    for i in range(N):
        correct[1 : 2 * i + 1 : 2, i] = 0
    presented = {name: noise(EPOCHS, N, seed=row) for row, name in enumerate(MEASURES)} | {"correct": correct}
    kept = kept_epochs(EPOCHS)
    return World(
        split.images(), split.labels, presented, {epoch: 2 * noise(N, 3, seed=epoch) for epoch in kept},
        noise(N, 6, seed=99), {epoch: some_net(epoch) for epoch in kept},
    )  # fmt: skip


def equal_world():
    """All images of a class are one, and so is what is said of them."""
    split = toy(COUNTS)
    one = torch.stack([noise(1, 8, 8, seed=c) for c in range(3)])
    presented = {name: torch.ones(EPOCHS, N) for name in MEASURES}
    kept = kept_epochs(EPOCHS)
    same = {epoch: noise(1, 3, seed=epoch).repeat(N, 1) for epoch in kept}
    nets = {epoch: some_net(epoch) for epoch in kept}
    return World(one[split.labels], split.labels, presented, same, torch.ones(N, 6), nets)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_numbers_that_are_none_fail_the_cell(tmp_path, name, balance):
    broken = world()
    for values in broken.presented.values():
        values[3, 5] = torch.nan
    for values in (*broken.logits.values(), broken.features):
        values[5] = torch.nan
    for net in broken.nets.values():
        net.classifier.weight.data[0, 0] = torch.nan
    with pytest.raises(NodeFailureError, match="is no number") as caught:
        method_of(name, balance=balance).select(broken.context(tmp_path))
    assert caught.value.status == "nan"


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"moderate"}))
def test_of_equals_the_first_of_the_repetition_are_kept(tmp_path, name):
    ctx = equal_world().context(tmp_path)
    selected = method_of(name, balance="per_class").select(ctx)
    if name == "grand":  # on some processors float32 sums depend on an image's place in the batch: equal but for that
        for c in range(3):
            scores = selected.scores[ctx.train.of_class(c)]
            torch.testing.assert_close(scores, scores[:1].expand(len(scores)), rtol=1e-5, atol=0)
        return
    assert selected.indices.tolist() == [i for c in range(3) for i in class_order(ctx, c)[:3].tolist()]


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"moderate", "grand"}))  # grand's scores differ by class
def test_of_equals_among_all_the_first_of_the_repetition_are_kept(tmp_path, name):
    same = equal_world()
    same = replace(same, images=same.images[:1].repeat(N, 1, 1, 1), labels=same.labels)
    if name == "el2n":  # whose error is towards the label
        same = replace(same, logits={epoch: torch.zeros(N, 3) for epoch in same.logits})
    ctx = same.context(tmp_path)
    found = method_of(name, balance="global").select(ctx).indices.tolist()
    assert found == whole_order(ctx)[:9].tolist()


def test_of_equals_the_middle_of_the_repetitions_order_is_kept_by_moderate(tmp_path):
    ctx = equal_world().context(tmp_path)
    assert method_of("moderate", balance="global").select(ctx).indices.tolist() == whole_order(ctx)[15:24].tolist()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_class_cannot_give_more_than_it_has_but_all_of_it(tmp_path, name):
    ctx = world().context(tmp_path, Budget(fraction=1.0))
    method = method_of(name, balance="per_class")
    assert sorted(method.select(ctx).indices.tolist()) == list(range(N))
    middle = sorted(COUNTS)[1]
    fits, large = (CELL.model_copy(update={"budget": Budget(ipc=n)}) for n in (middle, middle + 1))
    assert method.params.unsupported(fits, ctx.dataset) is None
    assert f"ipc is at most {middle}" in method.params.unsupported(large, ctx.dataset)
    short = world().context(tmp_path, fits.budget)
    labels = short.train.labels[method.select(short).indices]
    assert labels.bincount().tolist() == [min(middle, n) for n in COUNTS]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("balance", ["per_class", "global"])
@pytest.mark.parametrize("budget", [Budget(ipc=3), Budget(fraction=0.4)])
def test_the_budget_is_filled_with_distinct_images(tmp_path, name, balance, budget):
    ctx = world().context(tmp_path, budget)
    method = method_of(name, balance=balance)
    found = method.select(ctx).indices
    assert len(found.unique()) == len(found) == sum(ctx.per_class)
    if method.params.class_counts == "exact":
        assert ctx.train.labels[found].bincount(minlength=3).tolist() == list(ctx.per_class)


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"ccs"}))  # which samples by the order of the images
@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_permuting_the_images_permutes_the_result(tmp_path, name, balance):
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    method = method_of(name, balance=balance)
    chosen = method.select(world().context(tmp_path)).indices
    again = method.select(world().permuted(order).context(tmp_path)).indices
    assert torch.equal(order[again], chosen)


@pytest.mark.parametrize("name", ORDERED)
def test_the_easiest_are_the_hardest_backwards(tmp_path, name):
    ctx = world().context(tmp_path, Budget(fraction=1.0))
    hard, easy = (
        method_of(name, balance="global", order=order).select(ctx).indices for order in ("hard_first", "easy_first")
    )
    assert torch.equal(hard.flip(0), easy)


HARD = sorted(set(ORDERED) - {"grand", "deepfool"})  # which look at networks: see test_scores_by_gradients.py


@pytest.mark.parametrize("name", [*HARD, "moderate"])
def test_images_that_are_hard_by_construction_are_kept(tmp_path, name):
    """Three of each class: forgotten by turns, never sure, unevenly so, at a middle distance."""
    plain, hard = world(), []
    labels = plain.labels
    correct = torch.ones(EPOCHS, N)
    presented = {"correct": correct, "margin": torch.full((EPOCHS, N), 5.0)}
    logits = {epoch: 9.0 * torch.eye(3)[labels] for epoch in plain.logits}
    features = torch.zeros(N, 2)
    for c in range(3):
        members = torch.nonzero(labels == c).flatten().tolist()
        low = (len(members) - 3) // 2
        for place, i in enumerate(members):
            features[i, 0] = (1.0 if place < low else 9.0) * (-1) ** place
        for nth, i in enumerate(members[low : low + 3]):
            hard.append(i)
            correct[1::2, i] = 0
            presented["margin"][:, i] = -1.0
            features[i, 0] = 5.0 * (-1) ** nth
            for epoch, said in logits.items():
                said[i] = torch.tensor([0.1, 0.0, 0.0]) + (3.0 if epoch in (2, 3) else 0.0) * torch.eye(3)[nth]
    ctx = replace(plain, presented=presented, logits=logits, features=features).context(tmp_path)
    assert sorted(method_of(name, balance="per_class").select(ctx).indices.tolist()) == sorted(hard)


def test_a_proxy_that_never_learned_is_told_by_all(tmp_path):
    lost = world()
    lost.presented["correct"][-1] = 0
    for name in SETTINGS:
        ctx = lost.context(tmp_path)
        method_of(name).select(ctx)
        assert any("means little" in text for text in ctx.warnings), name
