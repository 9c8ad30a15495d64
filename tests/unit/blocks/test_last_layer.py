"""Gradients in the last layer, kept as factors, against those that autograd writes out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks import features, last_layer
from ddbench.blocks.features import Outputs
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import Budget
from tests.fakes import FakeContext, toy


def said(n=20, k=4, d=5, seed=0):
    """Features, logits and labels of a linear layer, in float64."""
    draws = torch.Generator().manual_seed(seed)
    h = torch.randn(n, d, generator=draws, dtype=torch.float64)
    layer = torch.randn(k, d, generator=draws, dtype=torch.float64), torch.randn(k, generator=draws).double()
    return h, functional.linear(h, *layer), torch.randint(k, (n,), generator=draws), layer


def written_out(h, y, layer):
    """One row [b, W] per image by autograd: [n, K (1 + D)]."""
    rows = []
    for image, label in zip(h, y, strict=True):
        weight, bias = (one.clone().requires_grad_(True) for one in layer)
        loss = functional.cross_entropy(functional.linear(image[None], weight, bias), label[None])
        of_weight, of_bias = torch.autograd.grad(loss, (weight, bias))
        rows.append(torch.cat([of_bias[:, None], of_weight], dim=1).flatten())
    return torch.stack(rows)


@pytest.mark.parametrize("seed", range(3))
def test_products_of_factors_are_those_of_gradients(seed):
    h, z, y, layer = said(seed=seed)
    g, slow = Gradients.of(h, z, y), written_out(h, y, layer)
    rows, weights = torch.tensor([3, 0, 7]), torch.linspace(-1, 2, 20, dtype=torch.float64)
    near = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(g.norms, slow.norm(dim=1), **near)
    torch.testing.assert_close(g.products(rows), slow[rows] @ slow.T, **near)
    torch.testing.assert_close(g.mean().flatten(), slow.mean(0), **near)
    torch.testing.assert_close(g.weighted_sum(weights).flatten(), weights @ slow, **near)
    torch.testing.assert_close(g.dot(g.mean()), slow @ slow.mean(0), **near)
    cosine = functional.cosine_similarity(slow[rows][:, None], slow[None], dim=2)
    torch.testing.assert_close(g.units().similarities(rows), 0.5 + 0.5 * cosine, **near)
    apart = (slow[rows][:, None] - slow[None]).norm(dim=2)
    torch.testing.assert_close(g.distances(rows), apart, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(g.take(rows).mean().flatten(), slow[rows].mean(0), **near)


def test_an_image_without_a_gradient_is_half_like_all_itself_too():
    h, z, y, _ = said()
    z[3] = torch.where(torch.arange(4) == y[3], 1e4, -1e4)  # certain and right
    unit = Gradients.of(h, z, y).units()
    assert unit.similarities(torch.tensor([3])).flatten().tolist() == [0.5] * 20
    assert unit.similarities(torch.tensor([5]))[0, 5] == pytest.approx(1.0, abs=1e-12)


def test_directions_of_nearly_certain_images_are_not_rounded_away():
    """p = 1 − 1e-20 is 1 in float64, and its gradient points where that of p = 1 − 1e-6 does."""
    h = torch.ones(2, 3).double()
    z = torch.tensor([[46.05170185988092, 0.0], [13.815510557964274, 0.0]]).double()
    unit = Gradients.of(h, z, torch.tensor([0, 0])).units()
    assert unit.similarities(torch.tensor([0]))[0].tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


def test_copies_of_an_image_lie_at_distance_0_from_each_other():
    h, z, y, _ = said(d=300)
    found = Gradients.of(100 + torch.cat([h, h]), torch.cat([z, z]), torch.cat([y, y])).distances(torch.arange(20))
    assert found[torch.arange(20), torch.arange(20) + 20].tolist() == [0.0] * 20
    assert bool((found[0, 1:20] > 0).all())


def context(budget=None, **fields):
    return FakeContext(toy((12, 7, 20)), toy((2, 2, 2), seed=9), budget or Budget(ipc=3), **fields)


def outputs(ctx):
    draws = torch.Generator().manual_seed(1)
    return Outputs(ctx.train.images().flatten(1), torch.randn(len(ctx.train), 3, generator=draws))


@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_a_rule_sees_the_gradients_of_its_group(balance):
    ctx, seen = context(), []
    found = outputs(ctx)

    def rule(gradients, group):
        seen.append((group.c, group.n, len(gradients)))
        whole = Gradients.of(*found, ctx.train.labels)
        assert torch.equal(gradients.e, whole.e[group.members])
        assert torch.equal(gradients.h, whole.h[group.members])
        return Picks(torch.arange(group.n), torch.arange(group.n) + 1.0)

    chosen = last_layer.select(ctx, found, balance, rule)
    if balance == "per_class":
        assert seen == [(0, 3, 12), (1, 3, 7), (2, 3, 20)]
        assert chosen.indices.tolist() == [int(i) for c in range(3) for i in ctx.train.of_class(c)[:3]]
        assert chosen.weights.tolist() == [1, 2, 3] * 3
        assert [text for text in ctx.warnings if "weights" not in text] == []
    else:
        assert seen == [(None, 9, 39)]
        assert chosen.indices.tolist() == list(range(9))
        assert "classes are not balanced: the images of all of them compete (balance: global)" in ctx.warnings


@pytest.mark.parametrize("part", ["features", "logits"])
def test_what_is_no_number_fails_the_cell(part, monkeypatch):
    monkeypatch.setattr(features, "_ROWS", 5)
    ctx = context()
    found = outputs(ctx)
    getattr(found, part)[4, 1] = torch.nan
    getattr(found, part)[9, 2] = torch.inf
    with pytest.raises(NodeFailureError, match="the features of 2 of 39 images are no numbers") as failure:
        last_layer.select(ctx, found, "per_class", lambda gradients, group: Picks(torch.arange(group.n)))
    assert failure.value.status == "nan"
