"""Laws of the DSA augmenter."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.blocks.augment import DSA, OPERATIONS, Composed, CutMix, Draw, named
from ddbench.core.sets import AugmentationName

OPS = ("color", "crop", "cutout", "flip", "scale", "rotate")
SILENT = {
    "crop": 0.0, "cutout": 0.0, "scale": 1.0, "rotate": 0.0,
    "brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "noise": 0.0, "zoom": 1.0,
}  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=5, channels=3, size=32, seed=0):
    return torch.randn(n, channels, size, size, generator=generator(seed), dtype=torch.float64)


def draw_of(op, u):
    """A draw of ``DSA(ops=(op,))`` with the given uniforms [m, ≤ 3]."""
    values = torch.zeros(len(u), 1, 3, dtype=torch.float64)
    values[:, 0, : len(u[0])] = torch.tensor(u, dtype=torch.float64)
    return Draw(torch.ones(len(u), 1, dtype=torch.bool), values)


def apply(op, x, u, **fields):
    return DSA(ops=(op,), **fields)(x, draw_of(op, u))


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op != "flip"])
@pytest.mark.parametrize("n", [None, 5])
def test_zero_strength_is_the_identity(op, n):
    dsa = DSA(ops=(op,), **SILENT)
    x = images()
    torch.testing.assert_close(dsa(x, dsa.draw(generator(), n)), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("op", OPERATIONS)
def test_siamese_draw_transforms_all_images_alike(op):
    """Image j of one batch is transformed as image i of another, whatever the batches' sizes."""
    dsa = DSA(ops=(op,))
    x = images(7)
    for seed in range(5):
        draw = dsa.draw(generator(seed))
        together, alone = dsa(x, draw), torch.cat([dsa(x[i : i + 1], draw) for i in range(7)])
        torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("op", OPERATIONS)
def test_images_of_a_batch_are_transformed_differently(op):
    dsa = DSA(ops=(op,))
    same = images(1).expand(16, -1, -1, -1)
    out = dsa(same, dsa.draw(generator(), 16))
    assert len({tuple(image.flatten().tolist()) for image in out}) > 1


@pytest.mark.parametrize("op", OPERATIONS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_a_row_acts_the_same_in_any_batch(op, seed):
    """Per-image and one-row paths agree, row by row."""
    dsa = DSA(ops=(op,))
    x = images(4)
    draw = dsa.draw(generator(seed), 4)
    for j in range(4):
        one = Draw(draw.apply[j : j + 1], draw.u[j : j + 1])
        torch.testing.assert_close(dsa(x, draw)[j], dsa(x[j : j + 1], one)[0])


@pytest.mark.parametrize("pick", ["batch", "image"])
def test_every_operation_is_picked_equally_often(pick):
    dsa, source = DSA(), generator()
    counts = torch.stack([dsa.draw(source, 4, pick=pick).apply.double().mean(0) for _ in range(3000)]).mean(0)
    # 3000 independent picks at least: sd of a frequency ≤ √(5/36/3000) = 0.0068
    assert (counts - 1 / 6).abs().max() < 4 * 0.0068


def test_pick_decides_how_many_operations_act():
    dsa = DSA()
    batch, image, every = (dsa.draw(generator(), 64, pick=pick).apply for pick in ("batch", "image", "all"))
    assert batch.sum(1).eq(1).all() and len(batch.unique(dim=0)) == 1
    assert image.sum(1).eq(1).all() and len(image.unique(dim=0)) == 6
    assert every.all()


def test_all_operations_act_in_the_order_of_the_list():
    x = images(3)
    dsa = DSA(ops=("crop", "noise"))
    draw = dsa.draw(generator(), 3, pick="all")
    by_hand = x
    for i, op in enumerate(dsa.ops):
        by_hand = DSA(ops=(op,))(by_hand, Draw(draw.apply[:, i : i + 1], draw.u[:, i : i + 1]))
    torch.testing.assert_close(dsa(x, draw), by_hand)


def test_concatenated_draws_equal_class_by_class():
    dsa, source = DSA(), generator()
    counts = [3, 1, 5, 2, 4, 1, 2, 6]
    draws = [dsa.draw(source) for _ in counts]
    assert len({tuple(d.apply[0].tolist()) for d in draws}) > 2
    x = images(sum(counts))
    apart = torch.cat([dsa(part, draw) for part, draw in zip(x.split(counts), draws, strict=True)])
    torch.testing.assert_close(dsa(x, Draw.cat(draws, counts)), apart)


def test_brightness_saturation_contrast_follow_their_formulas():
    x = images(2)
    out = apply("color", x, [[0.9, 0.25, 0.7]])
    bright = x + 0.4  # U(−.5, .5) at .9
    grey = bright.mean(1, keepdim=True)
    saturated = (bright - grey) * 0.5 + grey  # U(0, 2) at .25
    level = saturated.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(out, (saturated - level) * 1.2 + level)  # U(.5, 1.5) at .7


def test_saturation_leaves_grey_images_alone():
    x = images(2, channels=1)
    torch.testing.assert_close(apply("color", x, [[0.5, 0.1, 0.5]]), x)


@pytest.mark.parametrize(("size", "p"), [(8, 1), (28, 4), (32, 4), (64, 8)])
def test_crop_shifts_by_whole_pixels_within_an_eighth(size, p):
    point = torch.zeros(1, 1, size, size, dtype=torch.float64)
    point[..., size // 2, size // 2] = 1
    dsa = DSA(ops=("crop",))
    out = dsa(point.expand(4000, -1, -1, -1), dsa.draw(generator(), 4000))
    assert torch.equal(out.sum((1, 2, 3)), torch.ones(4000, dtype=torch.float64))
    shifts = out.flatten(1).argmax(1)
    for shift in (shifts // size - size // 2, shifts % size - size // 2):
        values, counts = shift.unique(return_counts=True)
        assert values.tolist() == list(range(-p, p + 1))
        assert counts.min() > 0.7 * 4000 / (2 * p + 1)


def test_crop_fills_with_zero():
    out = apply("crop", torch.ones(1, 1, 32, 32), [[0.0, 0.999]])
    assert out.sum() == 28 * 28


def test_cutout_centres_reach_both_borders_and_squares_are_clipped():
    ones = torch.ones(1, 1, 32, 32, dtype=torch.float64)
    blank = {u: int((apply("cutout", ones, [[u, 0.5]]) == 0)[0, 0].any(1).sum()) for u in (0.0, 0.5, 0.9999)}
    assert blank == {0.0: 8, 0.5: 16, 0.9999: 8}  # centres 0, 16 and 32, side 16
    dsa = DSA(ops=("cutout",))
    out = dsa(ones.expand(4000, -1, -1, -1), dsa.draw(generator(), 4000))
    heights = (out == 0)[:, 0].any(2).sum(1)
    assert heights.min() == 8 and heights.max() == 16
    # 16 of the 33 equally likely centres lose a part (1 … 8 pixels at either border)
    assert abs(float((heights < 16).double().mean()) - 16 / 33) < 4 * 0.008


def test_flip_mirrors_half_of_the_images():
    x = images(2000, channels=1, size=4)
    dsa = DSA(ops=("flip",))
    out = dsa(x, dsa.draw(generator(), 2000))
    mirrored = (out == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(out[~mirrored], x[~mirrored])
    assert abs(float(mirrored.double().mean()) - 0.5) < 4 * 0.0112


def test_scale_zooms_out_above_one_and_pads_with_zero():
    ones = torch.ones(1, 1, 33, 33, dtype=torch.float64)
    smaller = apply("scale", ones, [[0.9999999, 0.9999999]])
    assert smaller[..., 0, :].abs().max() == 0 and smaller[..., 16, 16] == 1
    larger = apply("scale", ones, [[0.0, 0.0]])
    torch.testing.assert_close(larger, ones)


def test_scale_takes_a_range():
    """A ramp in x, zoomed by s, keeps its centre and multiplies its slope by s."""
    ramp = torch.linspace(-1, 1, 33, dtype=torch.float64).expand(1, 1, 33, 33)
    out = apply("scale", ramp, [[0.25, 0.0]], scale=(0.8, 1.2))
    torch.testing.assert_close(out[..., 16, 10:22], 0.9 * ramp[..., 16, 10:22])


def test_rotation_by_a_right_angle_is_a_transposed_flip():
    x = images(2, size=9)
    out = apply("rotate", x, [[0.9999999999999999]], rotate=90.0)
    candidates = [torch.rot90(x, k, (2, 3)) for k in (1, 3)]
    assert min(float((out - c).abs().max()) for c in candidates) < 1e-6


def test_rotation_angles_span_both_ways():
    angles = (2 * DSA().draw(generator(), 2000).u[:, 0, 0] - 1) * 15
    assert -15 <= angles.min() < -14.5 and 14.5 < angles.max() <= 15


def test_noise_has_the_stated_deviation_and_no_mean():
    x = images(64)
    dsa = DSA(ops=("noise",), noise=0.25)
    noise = dsa(x, dsa.draw(generator(), 64)) - x
    count = noise.numel()
    assert abs(float(noise.std()) - 0.25) < 5 * 0.25 / math.sqrt(2 * count)
    assert abs(float(noise.mean())) < 5 * 0.25 / math.sqrt(count)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("n", [None, 3])
def test_gradient_equals_finite_differences(op, n):
    dsa = DSA(ops=(op,))
    draw = dsa.draw(generator(1), n)
    x = images(3, size=6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: dsa(x, draw), x)


def test_gradient_flows_through_mixed_operations():
    dsa = DSA()
    draw = dsa.draw(generator(), 6, pick="image")
    x = images(6, size=6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: dsa(x, draw), x)


@pytest.mark.parametrize("pick", ["batch", "image", "all"])
def test_pure_and_seeded(pick):
    dsa, x = DSA(ops=(*OPS, "noise")), images(6)
    original, before = x.clone(), torch.random.get_rng_state()
    first = dsa(x, dsa.draw(generator(5), 6, pick=pick))
    again = dsa(x, dsa.draw(generator(5), 6, pick=pick))
    assert torch.equal(first, again)
    assert torch.equal(x, original)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_digit_sets_are_never_mirrored():
    assert DSA.for_dataset(flip=True) == DSA()
    assert DSA.for_dataset(flip=False).ops == tuple(op for op in OPS if op != "flip")


@pytest.mark.parametrize("ops", [(), ("colour",)])
def test_unknown_operations_are_refused(ops):
    with pytest.raises(ValueError, match="choose at least one of color, crop"):
        DSA(ops=ops)


def test_a_draw_for_other_images_is_refused():
    dsa = DSA()
    with pytest.raises(ValueError, match="does not fit 5 images"):
        dsa(images(5), dsa.draw(generator(), 4))
    with pytest.raises(ValueError, match="does not fit"):
        dsa(images(5), DSA(ops=("crop",)).draw(generator(), 5))


# ------------------------------------------------------------------------------------------------------------- by name

EVERY = get_args(AugmentationName)
OF_CHOICE = {
    "dsa": "color crop cutout flip scale rotate",
    "one_for_all": "flip color zoom rotate crop cutout",
    "flip_rotate": "flip rotate",
}
OF_ALL = {"crop_flip": "crop flip", "crop_noise": "crop noise"}


def seen(name, n=400, flip=True, **more):
    """The draw of a batch under a name, and its operations."""
    one = named(name, flip, **more)
    return one.augmenter.draw(generator(3), n=n, pick=one.pick), one.augmenter.ops


@pytest.mark.parametrize("name", EVERY)
def test_every_name_is_pure_seeded_and_shows_each_image_another_way(name):
    one, x = named(name, True), images(1).expand(12, -1, -1, -1)
    draws = generator(5)
    first, again, other = one(x, generator(5)), one(x, draws), one(x, draws)
    assert torch.equal(first, again) and first.shape == x.shape
    if name == "none":
        assert torch.equal(first, x) and torch.equal(draws.get_state(), generator(5).get_state()), "nothing is drawn"
    else:
        assert not torch.equal(first, other)
        assert any(not torch.equal(a, first[0]) for a in first) or any(not torch.equal(a, other[0]) for a in other)


@pytest.mark.parametrize("name", EVERY)
def test_no_name_mirrors_where_mirrored_images_mean_something_else(name):
    augmenter = named(name, False).augmenter
    assert augmenter is None or "flip" not in augmenter.ops


@pytest.mark.parametrize("name", OF_CHOICE)
def test_one_operation_acts_on_the_whole_batch(name):
    assert set(named(name, True).augmenter.ops) == set(OF_CHOICE[name].split())
    one = named(name, True)
    counts = torch.zeros(len(one.augmenter.ops))
    for seed in range(600):
        draw = one.augmenter.draw(generator(seed), n=4, pick=one.pick)
        assert draw.apply.sum(1).tolist() == [1] * 4 and bool((draw.apply == draw.apply[0]).all())
        counts += draw.apply[0]
    assert counts.min() > 60, "each of them is drawn"


@pytest.mark.parametrize("name", OF_ALL)
def test_all_operations_act_in_their_order(name):
    draw, ops = seen(name)
    assert " ".join(ops) == OF_ALL[name] and bool(draw.apply.all())


@pytest.mark.parametrize("cutout", [True, False])
def test_composed_has_flip_and_colour_always_and_one_of_three(cutout):
    draw, ops = seen("composed", cutout=cutout)
    acts = dict(zip(ops, draw.apply.T, strict=True))
    assert bool(acts.pop("flip").all()) and bool(acts.pop("color").all())
    assert bool(acts.pop("cutout", torch.tensor([cutout])).all()) is cutout
    assert set(acts) == {"crop", "scale", "rotate"}
    assert torch.stack(list(acts.values())).sum(0).tolist() == [1] * 400
    assert isinstance(named("composed", True).augmenter, Composed) and ops[0] == "flip"
    if cutout:
        assert ops[-1] == "cutout", "the square is blank in what students see"


def test_dc_mnist_picks_an_operation_for_each_image():
    draw, _ = seen("dc_mnist")
    assert draw.apply.sum(1).tolist() == [1] * 400 and draw.apply.sum(0).min() > 90


def test_colour_of_one_for_all_stays_within_a_quarter():
    augmenter = named("one_for_all", True).augmenter
    only = DSA(ops=("color",), brightness=augmenter.brightness, saturation=augmenter.saturation,
               contrast=augmenter.contrast)  # fmt: skip
    grey = torch.zeros(500, 3, 4, 4, dtype=torch.float64)
    shift = only(grey, only.draw(generator(), 500, pick="all"))[:, 0, 0, 0]
    assert shift.min() > -0.25 - 1e-9 and shift.max() < 0.25 + 1e-9 and shift.max() - shift.min() > 0.45
    flat = torch.randn(500, 1, 4, 4, generator=generator(), dtype=torch.float64)  # one channel: no saturation
    flat -= flat.mean((1, 2, 3), keepdim=True)
    ratio = only(flat, only.draw(generator(), 500, pick="all")).std((1, 2, 3)) / flat.std((1, 2, 3))
    assert 0.75 <= ratio.min() < 0.77 and 1.23 < ratio.max() <= 1.25


def test_zoom_scales_both_axes_alike_and_leaves_neither_window_nor_image():
    """A linear ramp tells where a window lies; a plate of ones tells where the image lies in the frame."""
    side = torch.linspace(-1, 1, 33, dtype=torch.float64)
    ramp = torch.stack([side.expand(33, 33).T, side.expand(33, 33)])[None]
    inside = apply("zoom", ramp, [[0.0, 0.25, 1.0]])[0]  # 0.8, a quarter and all of the way
    assert inside[0, :, 0].tolist() == pytest.approx((0.8 * side + 0.2).tolist())
    assert inside[1, 0].tolist() == pytest.approx((0.8 * side - 0.1).tolist())
    plate = torch.ones(1, 1, 33, 33, dtype=torch.float64)
    for u in ([1.0, 0.0, 0.0], [1.0, 1.0, 0.5], [1.0, 0.3, 0.9]):
        out = apply("zoom", plate, [u])[0, 0]
        rows, columns = (out > 1 - 1e-9).any(1), (out > 1 - 1e-9).any(0)
        assert {int(rows.sum()), int(columns.sum())} <= {25, 26}, "32 / 1.25 steps from pixel to pixel: all of it"


def test_cutmix_of_probabilities_is_that_of_classes_where_they_are_certain():
    x, classes = images(6), torch.tensor([0, 1, 2, 2, 1, 0])
    hard, soft = (CutMix(0.5, 3, generator(1)) for _ in range(2))
    mixed = 0
    for _ in range(20):
        (a, p), (b, q) = hard(x, classes), soft(x, torch.eye(3, dtype=torch.float64)[classes])
        assert torch.equal(a, b)
        torch.testing.assert_close(p, q)
        mixed += not torch.equal(a, x)
    assert 4 < mixed < 16


def test_cutmix_mixes_the_rows_of_probabilities_by_area():
    """Image i has the value i everywhere, and its label says so: both means agree."""
    x = torch.arange(5.0, dtype=torch.float64).view(5, 1, 1, 1).expand(5, 1, 16, 16)
    labels = torch.stack([torch.arange(5.0, dtype=torch.float64), torch.ones(5, dtype=torch.float64)], 1)
    for seed in range(10):
        mixed, targets = CutMix(1.0, 2, generator(seed))(x, labels)
        torch.testing.assert_close(targets[:, 0], mixed.mean((1, 2, 3)))
        torch.testing.assert_close(targets[:, 1], torch.ones(5, dtype=torch.float64))
