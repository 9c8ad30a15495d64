"""What is stored and what it decodes to: shapes, order, linearity, gradients, bytes, and the methods that offer it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from ddbench.blocks.parametrize import Parametrisation
from ddbench.core.api import Preprocess
from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.specs import Budget
from ddbench_plugins.datm.method import DATM
from ddbench_plugins.datm.params import DATMParams
from ddbench_plugins.dc.method import DC
from ddbench_plugins.dc.params import DCParams
from ddbench_plugins.dm.method import DM
from ddbench_plugins.dm.params import DMParams
from ddbench_plugins.dsa.method import DSAMatching
from ddbench_plugins.dsa.params import DSAParams
from ddbench_plugins.ftd.method import FTD
from ddbench_plugins.ftd.params import FTDParams
from ddbench_plugins.mtt.method import MTT
from ddbench_plugins.mtt.params import MTTParams
from ddbench_plugins.tesla.method import TESLA
from ddbench_plugins.tesla.params import TESLAParams
from tests.fakes import FakeContext, run, toy
from tests.unit.blocks.test_initial import METHODS
from tests.unit.methods.test_mtt import INFO, cell
from tests.unit.methods.test_mtt import ctx as pool  # noqa: F401

SPACE = Preprocess(id="meanstd", mean=(0.0,), std=(1.0,))
FORMS = [
    Parametrisation(),
    Parametrisation("multi-formation", 2),
    Parametrisation("multi-formation", 4),
    Parametrisation("upsampled", 2),
]


def noise(n, side=8, channels=3, dtype=torch.float64):
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(n), dtype=dtype)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_sizes_and_bytes(form):
    images, labels = noise(2 * form.times, dtype=torch.float32), torch.arange(2).repeat_interleave(form.times)
    codes = form.encode(images)
    stored = form.condensed(codes, labels, SPACE)
    assert form.counts([1, 1]) == [form.times] * 2
    assert stored.images.shape == images.shape
    assert len(codes) == 2
    assert stored.storage.images + stored.storage.codes == codes.numel() * 4
    if form.form == "pixels":
        assert (stored.storage.codes, dict(stored.aux)) == (0, {})
    else:
        assert stored.storage.images == 0 and torch.equal(stored.aux["codes"], codes)
    assert codes[0].numel() == 3 * 64 // (form.factor**2 if form.form == "upsampled" else 1)


def test_a_canvas_holds_its_images_row_by_row():
    form, images = Parametrisation("multi-formation", 2), noise(8)
    codes = form.encode(images)
    for n, image in enumerate(images):
        canvas, place = divmod(n, 4)
        row, column = divmod(place, 2)
        part = codes[canvas, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(part, functional.interpolate(image[None], (4, 4), mode="nearest")[0])
        decoded = functional.interpolate(part[None], (8, 8), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(form.decode(codes)[n], decoded)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_decoding_is_affine_so_that_it_commutes_with_normalisation(form):
    codes = form.encode(noise(16))
    torch.testing.assert_close(form.decode(2 * codes - 0.3), 2 * form.decode(codes) - 0.3)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_flat_images_survive(form):
    flat = torch.arange(16.0).view(16, 1, 1, 1).expand(16, 1, 8, 8)
    torch.testing.assert_close(form.decode(form.encode(flat)), flat)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_pulled_gradients_are_autograds(form):
    codes = form.encode(noise(16)).requires_grad_()
    weights = noise(16 // form.times * form.times)
    (expected,) = torch.autograd.grad((form.decode(codes) * weights).sum(), codes)
    torch.testing.assert_close(form.pull(codes, weights), expected)


@pytest.mark.parametrize("form", FORMS[1:], ids=str)
def test_what_cannot_be_stored_is_refused(form):
    with pytest.raises(ValueError, match="cannot be stored by"):
        form.encode(noise(16, side=9))
    if form.times > 1:
        with pytest.raises(ValueError, match="cannot be stored by"):
            form.encode(noise(form.times + 1))


@pytest.mark.parametrize("name", (*METHODS, "idc", "idm", "dance", "ncfm"))
@pytest.mark.parametrize("form", ["pixels", "multi-formation", "upsampled"])
def test_every_distiller_offers_it_and_says_what_it_needs(name, form):
    needed = {"init": "real", "parametrisation": form, "factor": 3}
    if "expert_epochs" in params_class(installed().methods.get(name)).model_fields:
        needed |= {"expert_epochs": 60}
    params = params_class(installed().methods.get(name)).model_validate(needed)
    reason = params.unsupported(cell(), INFO)
    assert (reason is None) == (form == "pixels")
    if form != "pixels":
        assert reason == f"{form} of factor 3 needs a side that it divides, not {INFO.size}"


def test_real_images_must_suffice_for_all_that_a_canvas_holds():
    smallest = min(INFO.counts)
    fits, too_many = smallest // 4, smallest // 4 + 1
    params = DMParams(parametrisation="multi-formation")
    assert params.unsupported(cell(budget=Budget(ipc=fits)), INFO) is None
    reason = params.unsupported(cell(budget=Budget(ipc=too_many)), INFO)
    assert (
        reason
        == f"class {INFO.class_names[INFO.counts.index(smallest)]} has {smallest} training images, and 4 are needed for each one of the budget"
    )
    assert "4 are needed" in params.unsupported(cell(budget=Budget(fraction=0.3)), INFO)
    assert DMParams(parametrisation="upsampled").unsupported(cell(budget=Budget(ipc=too_many)), INFO) is None
    assert params.model_copy(update={"init": "noise"}).unsupported(cell(budget=Budget(ipc=too_many)), INFO) is None


def context(**fields):
    return FakeContext(toy((40, 40, 40), dtype=torch.float64), toy((2, 2, 2), seed=9), Budget(ipc=2), **fields)


STEPS = {"iterations": 2, "batch_real": 4}


@pytest.mark.parametrize("method", [DM, DC, DSAMatching])
@pytest.mark.parametrize("form", FORMS[1:], ids=str)
def test_matching_methods_learn_codes(method, form):
    params = {DM: DMParams, DC: DCParams, DSAMatching: DSAParams}[method](
        **STEPS, init="real", parametrisation=form.form, factor=form.factor
    )
    made = method(params)
    made.prepare(ctx := context())
    start = made.images.value.clone()
    condensed = run(method(params), context())
    counts = condensed.labels.bincount().tolist()
    assert counts == [2 * form.times] * 3
    assert condensed.aux["codes"].shape == start.shape
    assert not torch.equal(condensed.aux["codes"], start.float())
    torch.testing.assert_close(condensed.images, form.decode(condensed.aux["codes"]), rtol=1e-5, atol=1e-6)
    assert ctx.train.images().shape[1:] == condensed.images.shape[1:]


def test_one_step_of_dm_on_canvases_is_the_chain_rule():
    """The update of the canvas is that of the decoded images, pulled back."""
    form = Parametrisation("multi-formation", 2)
    options = {"iterations": 1, "batch_real": 4, "augment": "none", "lr_img": 0.5}
    canvas, plain = DM(DMParams(**options, parametrisation="multi-formation")), DM(DMParams(**options))
    canvas.prepare(one := context())
    plain.prepare(two := FakeContext(one.train, one.val, Budget(ipc=8)))
    codes = canvas.images.value.clone()
    plain.images.value = form.decode(codes)
    two.generator.set_state(one.generator.get_state())
    before = plain.images.value.clone()
    canvas.step(one)
    plain.step(two)
    gradient = (before - plain.images.value) / 0.5
    torch.testing.assert_close(canvas.images.value, codes - 0.5 * form.pull(codes, gradient))


@pytest.mark.parametrize(
    ("method", "params", "more"),
    [
        (MTT, MTTParams, {}), (DATM, DATMParams, {}), (TESLA, TESLAParams, {}), (FTD, FTDParams, {}),
        (TESLA, TESLAParams, {"labels": "teacher"}),
    ],
)  # fmt: skip
def test_trajectory_methods_learn_codes(method, params, more, pool):  # noqa: F811
    options = {
        "iterations": 2, "experts": 2, "expert_epochs": 4, "expert_batch": 30, "expert_optimiser": "sgd", "syn_steps": 3,
        "match_snapshots": 2, "max_start": 2, "lr_init": 0.05, "lr_img": 10.0, "init": "real",
        "parametrisation": "multi-formation",
    }  # fmt: skip
    made = method(params(**options, **more))
    condensed = run(made, pool())
    assert len(condensed) == 24 == len(condensed.aux["codes"]) * 4
    torch.testing.assert_close(condensed.images, made.form.decode(condensed.aux["codes"]))
    assert condensed.storage.codes == condensed.aux["codes"].numel() * 4
    assert not torch.equal(made.images.value, made.start)


def test_kmeans_and_kcenter_pick_for_every_place_of_a_canvas(tmp_path):
    train = toy()
    save_file({"features": train.images().flatten(1).contiguous()}, tmp_path / "features.safetensors")
    for rule in ("kcenter", "kmeans"):
        ctx = FakeContext(train, toy((2, 2, 2), seed=9), Budget(ipc=2), artifacts={"features": tmp_path})
        made = DM(DMParams(iterations=0, init=rule, parametrisation="multi-formation"))
        condensed = run(made, ctx)
        assert len(torch.unique(condensed.images, dim=0)) == len(condensed) == 24
