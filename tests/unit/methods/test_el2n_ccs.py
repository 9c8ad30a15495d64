"""EL2N and CCS on recordings that are made by hand: what each reads, and which images follow from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import softmax

from ddbench.blocks.dynamics import MEASURES, PRESENTED, kept_file
from ddbench.blocks.sampling import class_order
from ddbench.core.specs import Budget, CellSpec, DataSpec
from ddbench_plugins.aum.method import AUM
from ddbench_plugins.aum.params import AUMParams
from ddbench_plugins.ccs.method import CCS, covered
from ddbench_plugins.ccs.params import CCSParams
from ddbench_plugins.el2n.method import EL2N, el2n
from ddbench_plugins.el2n.params import EL2NParams
from tests.fakes import FakeContext, FakeSplit, toy

N, T, K = 60, 20, 3
LABELS = torch.arange(N) % K
CELL = CellSpec(
    method="x", method_version=1, origin="ddbench", params={}, data=DataSpec(name="digits", revision="0" * 16),
    budget=Budget(ipc=1), arch="convnet2-w8-in", master=0, r=0,
)  # fmt: skip


def recording(folder, seed=0, **measured):
    """A recording of random measures, but for those given as [T, N]; the logits after an epoch are random."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    presented = rng.normal(size=(len(MEASURES), T, N)).astype(np.float32)
    for name, values in measured.items():
        presented[MEASURES.index(name)] = values
    np.save(folder / PRESENTED, presented)
    for epoch in (2, T):
        save_file({"logits": torch.from_numpy(rng.normal(size=(N, K)).astype(np.float32))}, kept_file(folder, epoch))
    return folder


def context(tmp_path, budget=None, nets=1, **measured):
    folders = {f"dynamics_{i}" if i else "dynamics": recording(tmp_path / str(i), i, **measured) for i in range(nets)}
    train = FakeSplit(torch.zeros(N, 1, 8, 8), LABELS)
    return FakeContext(train, toy((2, 2, 2), seed=9), budget or Budget(ipc=4), artifacts=folders), folders


def test_errors_are_averaged_over_networks_before_ranking(tmp_path):
    ctx, folders = context(tmp_path, nets=3)
    params = EL2NParams(epochs=T, nets=3, balance="global")
    found = EL2N(params).select(ctx)
    onehot, lengths = np.eye(K)[LABELS], []
    for folder in folders.values():
        from safetensors.torch import load_file

        p = softmax(load_file(kept_file(folder, 2))["logits"].double().numpy(), axis=1)
        lengths.append(np.linalg.norm(p - onehot, axis=1))
    expected = np.mean(lengths, axis=0)
    assert np.allclose(found.scores, expected, atol=1e-6)
    assert set(found.indices.tolist()) == set(np.argsort(-expected)[:12].tolist())


def test_the_first_ten_epochs_are_summed_as_training_showed_them(tmp_path):
    errors = np.random.default_rng(5).random((T, N))
    ctx, _ = context(tmp_path, el2n=errors)
    found = EL2N(EL2NParams(epochs=T, window="first_ten")).select(ctx)
    assert np.allclose(found.scores, errors.astype(np.float32)[:10].sum(0), atol=1e-5)


def test_el2n_lies_between_nought_and_root_two():
    sure = torch.tensor([[50.0, 0.0], [50.0, 0.0]])
    assert el2n([sure], torch.tensor([0, 1])).tolist() == pytest.approx([0, 2**0.5])


def test_el2n_reads_as_many_networks_as_it_averages_and_no_epoch_that_is_not_kept():
    assert len(EL2NParams(epochs=20, nets=5).artifacts(CELL)) == 5
    assert len(EL2NParams(epochs=20, nets=5, window="first_ten").artifacts(CELL)) == 1
    assert EL2NParams(epochs=20).looked_at == 2
    assert "kept after epochs 0, 1" in EL2NParams(epochs=20, epoch=12).unsupported(CELL, None)


@pytest.mark.parametrize(("of", "measure"), [("logits", "margin"), ("probabilities", "margin_p")])
def test_the_smallest_margins_are_kept(tmp_path, of, measure):
    margins = np.random.default_rng(6).normal(size=(T, N))
    ctx, _ = context(tmp_path, **{measure: margins})
    found = AUM(AUMParams(epochs=T, of=of, balance="per_class")).select(ctx).indices.tolist()
    mean = margins.astype(np.float32).mean(0)
    expected = {i for c in range(K) for i in sorted(range(c, N, K), key=lambda i: mean[i])[:4]}
    assert set(found) == expected


def test_ccs_covers_every_grade_but_the_mislabelled(tmp_path):
    """A fifth is mislabelled with margins far below all others, the rest lies in four grades of 12 images each."""
    grade = torch.tensor([-100.0] * 12 + [0.0] * 12 + [1.0] * 12 + [2.0] * 12 + [3.0] * 12)
    ctx, _ = context(tmp_path, Budget(ipc=4), margin=grade.expand(T, N).numpy())
    found = CCS(CCSParams(epochs=T, beta=0.2, strata=4)).select(ctx).indices
    assert grade[found].unique(return_counts=True)[1].tolist() == [3, 3, 3, 3]
    assert bool((grade[found] >= 0).all())
    wider = CCS(CCSParams(epochs=T, beta=0.0, strata=4)).select(ctx).indices
    assert int((grade[wider] < 0).sum()) == 6  # two strata hold all, the two between them nothing


def test_ccs_within_classes_takes_the_budget_of_each(tmp_path):
    ctx, _ = context(tmp_path, Budget(fraction=0.25))
    found = CCS(CCSParams(epochs=T, beta=0.3, balance="per_class")).select(ctx).indices
    assert LABELS[found].bincount().tolist() == list(ctx.per_class)


def test_ccs_drops_no_more_than_leaves_enough():
    assert sorted(covered(torch.arange(10.0).double(), 10, beta=0.5, strata=50).tolist()) == list(range(10))
    kept = covered(torch.arange(10.0).double(), 4, beta=0.3, strata=50)
    assert len(set(kept.tolist())) == 4
    assert int(kept.max()) < 7  # the three hardest are gone


def test_equal_scores_make_ccs_random(tmp_path):
    ctx, _ = context(tmp_path, Budget(ipc=3), margin=np.ones((T, N)))
    found = CCS(CCSParams(epochs=T, balance="per_class")).select(ctx).indices
    assert found.tolist() == [i for c in range(K) for i in class_order(ctx, c)[:3].tolist()]


@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_a_beta_that_leaves_fewer_than_are_kept_is_refused_when_planned(balance):
    info, half = FakeContext(toy((20, 10, 30)), toy((2, 2, 2), seed=9)).dataset, Budget(fraction=0.5)
    cell = CELL.model_copy(update={"budget": half})
    assert CCSParams(beta=0.5, balance=balance).unsupported(cell, info) is None
    assert "at most 0.5" in CCSParams(beta=0.6, balance=balance).unsupported(cell, info)


def test_beta_is_a_share_of_images_and_not_of_floats():
    scores = torch.arange(100).double()
    assert int(covered(scores, 71, beta=0.29, strata=50).max()) == 70


def test_the_first_ten_epochs_need_ten():
    assert "needs 10 epochs, and there are 9" in EL2NParams(epochs=9, window="first_ten").unsupported(CELL, None)
