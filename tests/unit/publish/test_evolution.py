"""How images leave their start: known spectra, starts that are found or refused, the early-versus-late picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ddbench.cli import invoke
from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DataSpec
from ddbench.core.store.folder import Store, write_record
from ddbench.core.store.tensors import save_set
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.space.split import open_splits
from ddbench.data.space.visible import PictureWarning
from ddbench.publish.plots.evolution import (
    WHITE_NOISE,
    change_curve,
    high_frequency_share,
    images_of,
    relative_change,
    share_curve,
    tracks_of,
)
from tests.factories import change, keyed, pair

SIDE = 8  # of digits


def wave(fy, fx, side=16, channels=1):
    """One image of a single frequency, in periods per image."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cos(2 * math.pi * (fy * y + fx * x) / side).expand(1, channels, side, side)


# ---------------------------------------------------------------------------------------------------------- spectra


@pytest.mark.parametrize(
    ("fy", "fx", "share"),
    [(0, 0, 0.0), (0, 1, 0.0), (4, 0, 0.0), (2, 3, 0.0), (5, 0, 1.0), (0, 8, 1.0), (3, 3, 1.0), (8, 8, 1.0)],
)
def test_a_single_frequency_is_high_beyond_a_quarter_cycle_per_pixel(fy, fx, share):
    assert high_frequency_share(wave(fy, fx)) == pytest.approx(share, abs=1e-9)


def test_the_share_weighs_energies_and_ignores_scale_and_place():
    low, high = 3 * wave(1, 0, channels=3), wave(6, 0, channels=3)
    expected = 1 / (9 + 1)  # energy is the square of the amplitude
    for images in (low + high, 7 * (low + high), torch.cat([low, high]), (low + high).roll(5, -1)):
        assert high_frequency_share(images) == pytest.approx(expected, abs=1e-6)


def test_white_noise_has_four_fifths_and_nothing_has_none():
    noise = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert high_frequency_share(noise) == pytest.approx(WHITE_NOISE, abs=0.01) == pytest.approx(0.804, abs=0.01)
    assert high_frequency_share(torch.zeros(2, 1, 8, 8)) is None


def test_the_relative_change_is_that_of_all_images_together():
    assert relative_change(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0])) == pytest.approx(4 / 3)


# ------------------------------------------------------------------------------------------------------------ tracks


class Site:
    """A results folder of sets on digits, whose start is ``random``'s images."""

    def __init__(self, out):
        self.store = Store(out)
        revision = resolve(parse_source("digits", installed().datasets)).revision
        self.data = DataSpec(name="digits", revision=revision)
        self.train = open_splits(self.data, device="cpu")[0]

    def index(self, r):
        return torch.stack([self.train.of_class(c)[r] for c in range(10)])

    def start(self, r):
        return self.train.images(self.index(r))

    def put(self, record, condensed, snapshots=()):
        change(record, cell={"data": self.data.model_dump(mode="json")}, folder="ipc1")
        (found,) = keyed([record])
        record.key, record.document = found.key, found.document
        place = self.store.folder(record.document)
        record.set_sha256 = self.store.publish_set(place, condensed)
        for step, images in dict(snapshots).items():
            save_set(place / "snapshots" / f"{step:07d}.safetensors", self.set(images))
        write_record(place / "condense.json", record)

    def set(self, images):
        space = Preprocess(id="meanstd", mean=self.train.preprocess.mean, std=self.train.preprocess.std)
        return CondensedSet(images, torch.arange(10), "hard", space, Recipe(), StorageBytes(0))

    def random(self, r):
        real = CondensedSet(
            None, torch.arange(10), "hard", self.train.preprocess, Recipe(), StorageBytes(0), indices=self.index(r)
        )
        self.put(pair("random", r=r)[0], real)

    def moving(self, label, r, change, *, init="real", said=None, first=None, zero=None, **fields):
        """A set that moved by ``change`` after 5 steps and by twice that after 10."""
        record = pair("datm", r=r, label=label, params={"init": init, "row": label}, **fields)[0]
        start = self.start(r) if zero is None else zero
        record.metrics |= {} if first is None else {"window_first_top1": first}
        record.metrics |= {} if said is None else {"image_change": said}
        record.cost.steps = 10
        end = start + 2 * change
        self.put(record, self.set(end), {5: start + change, 10: end})


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "runs")


def test_random_s_images_are_the_start_of_sets_that_begin_with_real_ones(site):
    change = 0.1 * wave(0, 3, side=SIDE)
    for r in (1, 0):
        site.random(r)
        site.moving("late", r, change, first=95.0)
        site.moving("early", r, change, first=10.0)
    tracks = tracks_of(site.store)
    assert [(t.label, t.r) for t in tracks] == [("early", 0), ("early", 1), ("late", 0), ("late", 1)]
    for track in tracks:
        torch.testing.assert_close(images_of(track.start), site.start(track.r))
        assert track.origin == "random's images" and list(track.steps) == [5, 10]
    moved = [float((2 * change.expand(10, 1, SIDE, SIDE)).norm() / site.start(r).norm()) for r in (0, 1)]
    curve = change_curve([t for t in tracks if t.label == "early"])
    assert (curve.steps, curve.counts) == ((0, 5, 10), (2, 2, 2))
    assert curve.means == pytest.approx([0.0, np.mean(moved) / 2, np.mean(moved)], rel=1e-5)
    assert curve.sds[-1] == pytest.approx(np.std(moved, ddof=1), rel=1e-3)


def test_repetitions_that_stood_still_have_no_share(site):
    for r, size in ((0, 0.0), (1, 0.3)):
        site.random(r)
        site.moving("late", r, size * wave(0, 3, side=SIDE))
    curve = share_curve(tracks_of(site.store))
    assert (curve.counts, curve.sds) == ((1, 1), (0.0, 0.0))
    assert curve.means == pytest.approx((1.0, 1.0), abs=1e-6)


def test_the_row_without_steps_is_the_start_where_there_is_one(site):
    noise = torch.randn(10, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    site.random(0)
    site.moving("mtt", 0, wave(0, 1, side=SIDE), init="noise", zero=noise)
    zero = pair("datm", label="mtt (0 steps)", params={"iterations": 0})[0]
    site.put(zero, site.set(noise))
    (track,) = tracks_of(site.store)
    torch.testing.assert_close(images_of(track.start), noise)
    assert track.origin == "the images of mtt (0 steps)"


def test_a_start_that_nobody_kept_is_not_guessed(site):
    site.random(0)
    site.moving("mtt", 0, wave(0, 1, side=SIDE), init="noise")
    with pytest.raises(UsageError, match=r"X₀ is unknown.*--controls"):
        tracks_of(site.store)
    site.moving("datm", 0, wave(0, 1, side=SIDE))
    with pytest.warns(PictureWarning, match=r"left out: mtt r0: X₀ is unknown"):
        assert [track.label for track in tracks_of(site.store)] == ["datm"]


def test_a_start_that_contradicts_the_record_is_refused(site):
    change = 0.1 * wave(0, 3, side=SIDE)
    true = float((2 * change.expand(10, 1, SIDE, SIDE)).norm() / site.start(0).norm())
    site.random(0)
    site.moving("early", 0, change, said=true)
    assert len(tracks_of(site.store)) == 1
    site.moving("early", 0, change, said=true + 0.05)
    with pytest.raises(UsageError, match="its record says"):
        tracks_of(site.store)


# ----------------------------------------------------------------------------------------------------- command line


def test_the_picture_is_the_same_every_time_and_numbers_are_printed(site, tmp_path, capsys):
    site.random(0)
    site.moving("early", 0, 0.1 * wave(0, 1, side=SIDE), first=10.0)
    site.moving("late", 0, 0.1 * wave(0, 3, side=SIDE), first=95.0)
    command = ["plot", "images", "--out", str(site.store.out), "--ipc", "1", "--classes", "1,5"]
    for name in ("a.png", "b.png"):
        assert invoke([*command, "--to", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("early: after 10 steps") and lines[1].endswith("share of X − X₀ 0.000 ± 0.000 (n = 1)")
    assert lines[2].startswith("late: after 10 steps") and lines[2].endswith("share of X − X₀ 1.000 ± 0.000 (n = 1)")


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--ipc", "7"], "there are ipc 1"), (["--repetition", "4"], "there are 0"), (["--classes", "12"], "of class 12")],
)
def test_what_is_not_there_is_said_with_what_is(site, tmp_path, capsys, options, says):
    site.random(0)
    site.moving("early", 0, 0.1 * wave(0, 1, side=SIDE))
    command = ["plot", "images", "--out", str(site.store.out), "--to", str(tmp_path / "p.png"), *options]
    assert invoke(command) == 2
    assert says in capsys.readouterr().err
