"""Pictures of condensed sets: pixels come back from every preprocessing, tiles stand where their class is."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ddbench.blocks.parametrize import Parametrisation
from ddbench.cli import invoke
from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.core.errors import DataError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DataSpec
from ddbench.core.store.artifacts import folder_of
from ddbench.core.store.folder import Store, write_record
from ddbench.core.store.tensors import save_set
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.space.ids import ZCA
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.params import ZCAParams
from ddbench.data.space.pixels import data_of, pixels_of
from ddbench.data.space.preprocess import fronts, load_whitening
from ddbench.data.space.split import open_splits
from ddbench.data.space.visible import PictureWarning, unwhiten, visible_pixels
from ddbench.data.space.whitening import fit
from ddbench.publish.pictures import GAP, picture, png, row_names, slots, tiles
from tests.factories import change, keyed, pair

CPU = torch.device("cpu")
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
KEY = "ab" * 32


def visible(condensed, record):
    return torch.from_numpy(visible_pixels(condensed, record))


def unwhitened(images, *where):
    return torch.from_numpy(unwhiten(images.numpy(), *where))


def space(**fields):
    return Preprocess(id="meanstd", mean=MEAN, std=STD, **fields)


def some(n=8, channels=3, side=4, seed=0):
    """Pixels in [0, 1] whose neighbours are correlated, as in photographs."""
    noise = torch.rand(n, channels, side + 2, side + 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, stride=1)


def standardised(shown, labels, **aux):
    mean, std = (torch.tensor(part).view(1, -1, 1, 1) for part in (MEAN[: shown.shape[1]], STD[: shown.shape[1]]))
    where = Preprocess(id="meanstd", mean=MEAN[: shown.shape[1]], std=STD[: shown.shape[1]])
    return CondensedSet((shown - mean) / std, labels, "hard", where, Recipe(), StorageBytes(0), aux=aux)


@pytest.fixture
def record():
    return pair("dm")[0]


@pytest.fixture
def whitened(tmp_path):
    """A function: preprocessing id → pixels, their whitened form, its space, and where the matrices lie."""

    def make(name, where=tmp_path):
        shown = some(40)
        rows = fronts(MEAN, STD, CPU)[ZCA[name]]
        mean, matrix = fit(lambda: iter([rows(shown.clone())]), ZCAParams(variant=ZCA[name]))
        where.mkdir(parents=True, exist_ok=True)
        save_file({"mean": mean, "whiten": matrix}, where / MATRICES)
        transform = load_whitening(name, where, CPU, rows)
        return shown, transform(shown.clone()), transform.preprocess, where

    return make


# ------------------------------------------------------------------------------------------------------------ pixels


@pytest.mark.parametrize("name", ["zca-kornia", "zca-frepo"])
def test_whitened_images_unwhiten_to_their_pixels(whitened, name):
    shown, images, where, place = whitened(name)
    assert not torch.allclose(images, shown, atol=0.1)
    torch.testing.assert_close(unwhitened(images, where, place, MEAN, STD), shown, atol=1e-5, rtol=0)


def test_kip_gives_pixels_back_up_to_brightness_and_contrast(whitened):
    shown, images, where, place = whitened("zca-kip")
    back = unwhitened(images, where, place, MEAN, STD).flatten(1)
    standard = ((shown - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)).flatten(1)
    for ours, theirs in zip(back, standard, strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(back.norm(dim=1), torch.ones(len(back)), atol=1e-5, rtol=0)


def test_other_matrices_than_the_set_declares_are_refused(whitened):
    _, images, where, place = whitened("zca-kornia")
    with pytest.raises(DataError, match="other whitening matrices"):
        unwhitened(images, where.model_copy(update={"matrices": "0" * 64}), place, MEAN, STD)


def test_a_whitened_set_is_shown_unwhitened_when_the_artifact_is_there(whitened, record, fresh_home):
    shown, images, where, _ = whitened("zca-kornia", folder_of("zca", KEY))
    change(record, artifacts={"whitening": ["zca", KEY]})
    condensed = CondensedSet(images, torch.arange(40) % 10, "hard", where, Recipe(), StorageBytes(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error", PictureWarning)
        torch.testing.assert_close(visible(condensed, record), shown, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ZCA)
def test_what_is_shown_is_the_exact_pixels_clipped_wherever_there_are_any(whitened, fresh_home, record, name):
    _, images, where, place = whitened(name, folder_of("zca", KEY))
    revision = resolve(parse_source("digits", installed().datasets)).revision
    data = {"name": "digits", "revision": revision, "preprocess": name}
    change(record, data=data, artifacts={"whitening": ["zca", KEY]})
    condensed = CondensedSet(3 * images, torch.arange(40) % 10, "hard", where, Recipe(), StorageBytes(0))
    if name == "zca-kip":
        with pytest.warns(PictureWarning, match="neither brightness nor contrast"):
            visible(condensed, record)
        with pytest.raises(UsageError, match="cannot be turned back"):
            pixels_of(condensed, data_of(record), place)
    else:
        exact = pixels_of(condensed, data_of(record), place)
        assert exact.min() < 0
        assert exact.max() > 1
        assert torch.equal(visible(condensed, record), exact.clamp(0, 1))


@pytest.mark.parametrize("named", [{}, {"whitening": ["zca", KEY]}])
def test_without_the_matrices_images_are_stretched_and_a_warning_says_so(whitened, record, fresh_home, named):
    _, images, where, _ = whitened("zca-kornia")
    change(record, artifacts=named)
    condensed = CondensedSet(images, torch.arange(40) % 10, "hard", where, Recipe(), StorageBytes(0))
    with pytest.warns(PictureWarning, match="still whitened"):
        found = visible(condensed, record)
    assert found.amin((1, 2, 3)).tolist() == [0.0] * 40
    torch.testing.assert_close(found.amax((1, 2, 3)), torch.ones(40))


def test_standardised_images_are_shown_as_their_pixels_and_clipped(record):
    shown = some()
    shown[0, 0, 0, 0], shown[0, 0, 0, 1] = -0.5, 1.5
    torch.testing.assert_close(visible(standardised(shown, torch.arange(8)), record), shown.clamp(0, 1))


def test_selected_images_are_shown_as_the_source_has_them(record):
    revision = resolve(parse_source("digits", installed().datasets)).revision
    data = DataSpec(name="digits", revision=revision, preprocess="zca-kornia")
    change(record, cell={"data": data.model_dump(mode="json")})
    index = torch.tensor([3, 5, 8])
    chosen = CondensedSet(
        None, torch.tensor([0, 1, 2]), "hard", space(matrices="0" * 64), Recipe(), StorageBytes(0), indices=index
    )
    train = open_splits(data.model_copy(update={"preprocess": "meanstd"}), device="cpu")[0]
    torch.testing.assert_close(visible(chosen, record), train.pixels(index))
    assert row_names(chosen, record) == ["0", "1", "2"]


# ------------------------------------------------------------------------------------------------------------- tiles


def test_every_tile_is_the_image_of_its_row_and_column(record):
    labels = torch.tensor([7, 2, 2, 7, 7, 2, 5, 7])
    shown = some()
    grid = tiles(standardised(shown, labels), record, per_class=3)
    assert grid.shape == (3, 3, 4, 4, 3)
    for row, c in enumerate([2, 5, 7]):
        mine = [i for i in range(8) if labels[i] == c][:3]
        for column in range(3):
            expected = (shown[mine[column]] * 255).round().permute(1, 2, 0) if column < len(mine) else 255.0
            assert np.abs(grid[row, column].astype(float) - np.asarray(expected)).max() <= 1  # float noise at .5


def test_soft_labelled_images_stand_in_the_row_of_their_slot(record):
    logits = torch.eye(4).roll(1, 0)
    soft = CondensedSet(some(4), logits, "logits", space(), Recipe(), StorageBytes(0), aux={"classes": torch.arange(4)})
    assert slots(soft).tolist() == [0, 1, 2, 3] != logits.argmax(1).tolist()


def test_stored_canvases_are_shown_on_demand(record):
    form, canvases = Parametrisation("multi-formation", 2), some(4)
    codes = (canvases - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)
    condensed = form.condensed(codes, torch.arange(2).repeat_interleave(8), space())
    assert tiles(condensed, record).shape[:2] == (2, 8)
    grid = tiles(condensed, record, stored=True)
    assert grid.shape[:2] == (2, 2)
    flat = torch.from_numpy(grid).flatten(0, 1).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(flat, canvases, atol=0.6 / 255, rtol=0)
    with pytest.raises(UsageError, match="--stored"):
        tiles(standardised(some(), torch.arange(8)), record, stored=True)


# --------------------------------------------------------------------------------------------------------------- PNG


def test_the_png_holds_the_tiles_enlarged_by_a_whole_factor_with_white_between(record):
    grid = tiles(standardised(some(), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])), record)
    image = np.asarray(Image.open(io.BytesIO(png(grid, side=11))))
    step = 2 * 4 + GAP
    assert image.shape == (2 * step + GAP, 4 * step + GAP, 3)
    for row in range(2):
        for column in range(4):
            top, left = GAP + row * step, GAP + column * step
            assert (image[top : top + 8 : 2, left : left + 8 : 2] == grid[row, column]).all()
            assert (image[top + 1 : top + 8 : 2, left + 1 : left + 8 : 2] == grid[row, column]).all()
    assert (image[:GAP] == 255).all() and (image[:, :GAP] == 255).all() and (image[step : step + GAP] == 255).all()


def test_grids_stand_side_by_side_under_their_titles(record):
    one = tiles(standardised(some(4, channels=1), torch.arange(4)), record)

    def open_(content):
        return np.asarray(Image.open(io.BytesIO(content)))

    first, second = open_(png(one)), open_(png(255 - one))
    assert first.ndim == 2, "one channel makes a grey picture"
    apart = np.full((len(first), 6 * GAP), 255)
    assert (open_(png(one, 255 - one)) == np.hstack([first, apart, second])).all()
    titled = open_(png(one, titles=["5"], names=list("abcd")))
    assert (titled[-len(first) :, -first.shape[1] :] == first).all()
    assert (titled[: -len(first)] < 128).any(), "the title is above the images"
    assert (titled[-len(first) :, : -first.shape[1]] < 128).any(), "names are left of them"


def test_equal_tiles_give_equal_bytes(record, tmp_path):
    condensed = standardised(some(), torch.arange(8))
    picture(condensed, record, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == png(tiles(condensed, record), names=[str(c) for c in range(8)])
    with pytest.raises(UsageError, match=r"ends in \.png"):
        picture(condensed, record, tmp_path / "a.jpg")


# ------------------------------------------------------------------------------------------------------ command line


@pytest.fixture
def folder(tmp_path, fresh_home):
    """A results folder with one set and two snapshots; its key begins with the returned digits."""
    record, store = keyed(pair("dm"))[0], Store(tmp_path / "runs")
    place = store.folder(record.document.model_copy(update={"folder": "ipc1"}))
    record.set_sha256 = store.publish_set(place, standardised(some(), torch.arange(8)))
    for step in (5, 10):
        save_set(place / "snapshots" / f"{step:07d}.safetensors", standardised(some(seed=step), torch.arange(8)))
    write_record(place / "condense.json", record)
    return tmp_path / "runs", record.key[:12]


def show(folder, tmp_path, *options):
    out, key = folder
    return invoke(["show", key, "--out", str(out), "--to", str(tmp_path / "p.png"), *options])


def test_show_writes_a_snapshot_or_all_of_them_in_a_row(folder, tmp_path, record, capsys):
    names = [str(c) for c in range(8)]
    five, ten = (tiles(standardised(some(seed=s), torch.arange(8)), record) for s in (5, 10))
    assert show(folder, tmp_path, "--step", "5") == 0
    assert (tmp_path / "p.png").read_bytes() == png(five, titles=["5 steps"], names=names)
    assert show(folder, tmp_path, "--step", "all") == 0
    assert (tmp_path / "p.png").read_bytes() == png(five, ten, titles=["5 steps", "10 steps"], names=names)
    assert "after 5 steps, 10 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--step", "7"], "after 5, 10 steps"), (["--step", "last"], "or say all"), (["--stored"], "without --stored"),
     (["--per-class", "0"], "per-class")],
)  # fmt: skip
def test_show_says_what_can_be_shown_instead(folder, tmp_path, capsys, options, says):
    assert show(folder, tmp_path, *options) == 2
    assert says in capsys.readouterr().err


def test_show_of_an_unknown_key_is_a_usage_error(folder, tmp_path, capsys):
    assert invoke(["show", "ffff", "--out", str(folder[0]), "--to", str(tmp_path / "p.png")]) == 2
    assert "no result in" in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()
