"""Sets made elsewhere: every layout is understood, nothing ambiguous is guessed, and what we export comes back."""

from __future__ import annotations

import fnmatch
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ddbench.core.api import CondensedSet, Preprocess, Recipe
from ddbench.core.documents import CellDocument
from ddbench.core.errors import DataError, NodeFailureError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.records import Record
from ddbench.core.specs import Budget, CellSpec
from ddbench.core.store import artifacts
from ddbench.core.store.files import sha256_file
from ddbench.core.store.tensors import save_set
from ddbench.data.exchange.files import Flags, sources_of
from ddbench.data.exchange.imported import open_set
from ddbench.data.exchange.importer import Importer, Understood, _ipc, column_of
from ddbench.data.exchange.manifest import describe_set, manifest
from ddbench.data.exchange.params import ImportedParams
from ddbench.data.exchange.writers import write
from ddbench.data.space.split import open_splits
from tests.factories import WHEN, change, key_of

MEANSTD = Flags(preprocess="meanstd")
NONE, PIXELS = Flags(), Flags(range="01")


@pytest.fixture(scope="module")
def data():
    """The digits under mean/std, and their training split."""
    found = Importer(installed(), "digits").data("meanstd")
    return found, open_splits(found.spec, device="cpu")[0]


@pytest.fixture(scope="module")
def toy(data):
    """Two real images of each class: as networks see them, as pixels in [0, 1], and their labels."""
    _, train = data
    index = torch.cat([train.of_class(c)[:2] for c in range(10)])
    return train.images(index).clone(), train.pixels(index), train.labels[index].clone()


def take(*paths: Path, flags: Flags = NONE, dataset: str = "digits") -> Understood:
    (source,) = sources_of(paths)
    return Importer(installed(), dataset).take(source, flags)


def opened(understood: Understood, data, member: int = 0) -> tuple[CondensedSet, tuple[str, ...]]:
    """The set that a cell would get."""
    found, train = data
    importer = Importer(installed(), "digits")
    _, key = importer._spec(understood.preprocess, understood.sources[member])
    assert understood.preprocess == found.spec.preprocess
    return open_set(artifacts.verify("set", key), train)


def dc_file(path: Path, *sets, **more) -> Path:
    torch.save({"data": [list(pair) for pair in sets], "accs_all_exps": {}} | more, path)
    return path


def trajectory(folder: Path, images, labels, lr=None, tag: str = "best") -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(images, folder / f"images_{tag}.pt")
    torch.save(labels, folder / f"labels_{tag}.pt")
    if lr is not None:
        torch.save(lr, folder / f"lr_{tag}.pt")
    return folder


def npz_file(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def image_folder(folder: Path, pixels: torch.Tensor, labels: torch.Tensor) -> Path:
    for i, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy()).save(place / f"{i}.png")
    return folder


# ---------------------------------------------------------------------------------------------------- what is understood


def test_a_dc_file_holds_normalised_images_and_its_experiments_become_sets(tmp_path, data, toy):
    images, _, labels = toy
    path = dc_file(
        tmp_path / "res_DC.pt", (images, labels), (images * 1.5, labels), accs_all_exps={"ConvNet": [0.5, 0.7]}
    )
    found = take(path)
    assert (found.layout, found.preprocess, found.n, found.ipc) == ("dc", "meanstd", 20, 2)
    assert "60.00 % over 2 students of ConvNet" in " ".join(found.found)
    for member, expected in enumerate((images, images * 1.5)):
        condensed, notes = opened(found, data, member)
        assert torch.equal(condensed.images, expected)
        assert torch.equal(condensed.labels, labels)
        assert condensed.storage.images == images.numel() * 4
        assert "normalised with mean" in " ".join(notes)
    one = take(path, flags=Flags(experiment=1))
    assert one.sources == found.sources[1:]
    with pytest.raises(UsageError, match="holds 2 experiments: --experiment is below that"):
        take(path, flags=Flags(experiment=2))


def test_rounding_does_not_put_pixels_outside(tmp_path, data, toy):
    """0 and 1 that were normalised and come back as −1e-9 and 1 + 1e-7 are 0 and 1; half a level beyond is not."""
    info, labels = data[0].info, toy[2]
    pixels = torch.linspace(0, 1, 20).round().view(20, 1, 1, 1).expand(20, 1, 8, 8).clone()

    def said(pixels: torch.Tensor) -> str:
        return take(dc_file(tmp_path / "res.pt", ((pixels - info.mean[0]) / info.std[0], labels))).found[0]

    near = pixels + torch.where(pixels > 0, 1e-6, -1e-6)
    for given in (pixels, near):
        assert said(given).endswith("as pixels 0.00 to 1.00, 0.0 % outside [0, 1]")
    near[:, :, 0] = -0.6 / 255
    assert said(near).endswith("as pixels 0.00 to 1.00, 12.5 % outside [0, 1]")


@pytest.mark.parametrize("soft", [False, True])
def test_mtt_and_datm_files_are_one_set_with_its_learning_rate(tmp_path, data, toy, soft):
    images, _, labels = toy
    given = torch.nn.functional.one_hot(labels, 10).float() * 7 - 3 if soft else labels
    folder = trajectory(tmp_path / "run", images, given, torch.tensor(0.0125))
    found = take(folder, flags=MEANSTD)
    assert (found.layout, found.ipc) == (("datm" if soft else "mtt"), 2)
    condensed, _ = opened(found, data)
    assert torch.equal(condensed.labels, given)
    assert condensed.label_space == ("logits" if soft else "hard")
    assert condensed.recipe.lr == pytest.approx(0.0125)
    assert condensed.storage.lrs == 4
    # Naming the files, in whatever order, is the same as naming their folder.
    assert take(folder / "labels_best.pt", folder / "images_best.pt", flags=MEANSTD) == found


def test_pixels_of_any_container_come_to_the_same_images(tmp_path, data, toy):
    """8-bit pixels p become (p/255 − mean)/std, whether they come as PNG, uint8 array or floats."""
    info = data[0].info
    _, pixels, labels = toy
    bytes8 = (pixels * 255).round().to(torch.uint8)
    expected = (bytes8.double() / 255 - info.mean[0]) / info.std[0]
    files = {
        "folder": (image_folder(tmp_path / "images", pixels, labels), Flags()),
        "uint8": (npz_file(tmp_path / "u.npz", images=bytes8.numpy(), labels=labels.numpy()), Flags()),
        "channels last": (npz_file(tmp_path / "l.npz", x=bytes8.permute(0, 2, 3, 1).numpy(), y=labels), Flags()),
        "no channel": (npz_file(tmp_path / "n.npz", images=bytes8[:, 0].numpy(), labels=labels.int()), Flags()),
        "0 to 1": (npz_file(tmp_path / "f.npz", images=(bytes8 / 255).numpy(), labels=labels.numpy()), PIXELS),
        "0 to 255": (npz_file(tmp_path / "g.npz", images=bytes8.float().numpy(), labels=labels), Flags(range="255")),
    }
    for what, (path, flags) in files.items():
        condensed, _ = opened(take(path, flags=flags), data)
        by_class = torch.argsort(condensed.labels, stable=True)  # labels of `toy` ascend
        torch.testing.assert_close(condensed.images[by_class].double(), expected, atol=1e-5, rtol=0, msg=what)
        floats = what.startswith("0 to")
        assert condensed.storage.images == bytes8.numel() * (4 if floats else 1), what


@pytest.mark.parametrize("flags", [Flags(), PIXELS])
@pytest.mark.parametrize("layout", ["dc", "mtt"])
def test_pixels_are_not_said_to_be_normalised_whatever_their_layout(tmp_path, data, toy, layout, flags):
    _, pixels, labels = toy
    given = pixels if flags.range else (pixels * 255).round().to(torch.uint8)
    path = tmp_path / "res_DC.pt"
    found = take(
        dc_file(path, (given, labels)) if layout == "dc" else trajectory(tmp_path / "run", given, labels), flags=flags
    )
    assert found.layout == layout
    assert "pixels" in found.found[0]
    assert (found.warnings, opened(found, data)[1]) == ((), ())


def test_labels_that_are_probabilities_are_recognised(tmp_path, data, toy):
    images, _, labels = toy
    probs = torch.nn.functional.one_hot(labels, 10).float() * 0.9 + 0.01
    found = take(trajectory(tmp_path / "run", images, probs), flags=MEANSTD)
    assert opened(found, data)[0].label_space == "probs"


def test_the_content_decides_the_hash_and_the_name_does_not(tmp_path, toy):
    images, _, labels = toy
    first, second = (take(dc_file(tmp_path / f"{name}.pt", (images, labels))) for name in ("a", "b"))
    other = take(dc_file(tmp_path / "c.pt", (images, labels.flip(0))))
    assert first.sources == second.sources != other.sources


def test_a_known_file_is_not_read_again(tmp_path, toy, monkeypatch):
    images, _, labels = toy
    path = dc_file(tmp_path / "res.pt", (images * 1.5, labels))
    found = take(path)
    monkeypatch.setattr("ddbench.data.exchange.layouts.read", lambda *_: pytest.fail("read again"))
    assert take(path) == found


def test_an_import_that_was_removed_is_made_again(tmp_path, data, toy):
    images, _, labels = toy
    path = dc_file(tmp_path / "res.pt", (images * 2.5, labels))
    found = take(path)
    _, key = Importer(installed(), "digits")._spec("meanstd", found.sources[0])
    assert artifacts.remove("set", key[:16])
    assert take(path) == found
    assert opened(found, data)


# ---------------------------------------------------------------------------------------------------- what is refused

BAD = {
    "channels": (
        lambda i, y: (torch.cat([i, i, -i], 1), y),
        r"shape \[3, 8, 8\], those of digits \[1, 8, 8\]: .* differ",
    ),
    "size": (lambda i, y: (i[:, :, :4], y), r"shape \[1, 4, 8\]"),
    "label range": (lambda i, y: (i, y + 1), r"labels from 1 to 10; digits has 0 … 9"),
    "fractional labels": (lambda i, y: (i, y + 0.5), "not whole numbers"),
    "number of labels": (lambda i, y: (i, y[1:]), "20 images, 19 labels"),
    "columns": (lambda i, y: (i, torch.rand(20, 7)), r"shape \[20, 7\]; digits has 10 classes"),
    "nan pixels": (lambda i, y: (i.masked_fill(i > 1, float("nan")), y), "not all pixels are finite"),
    "nan labels": (lambda i, y: (i, torch.full((20, 10), float("inf"))), "not all labels are finite"),
    "no images": (lambda i, y: (i[:0], y[:0]), "holds no images"),
    "integer images": (lambda i, y: (i.long() - 3, y), r"images hold int64 from -\d to -?\d; pixels are 0 … 255"),
    "pixels": (lambda i, y: (i - i.min(), y), "--range 01, 255 or normalised settles it"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_set_that_does_not_fit_the_data_is_refused(name, tmp_path, toy):
    images, _, labels = toy
    change, message = BAD[name]
    with pytest.raises(DataError, match=message) as caught:
        take(dc_file(tmp_path / "res.pt", change(images, labels)))
    assert "res.pt" in str(caught.value)


def test_whitening_is_never_guessed(tmp_path, toy):
    images, _, labels = toy
    folder = trajectory(tmp_path / "run", images, labels)
    with pytest.raises(DataError, match="--preprocess zca-kornia"):
        take(folder)
    found = take(folder, flags=Flags(preprocess="zca-kornia"))
    assert "whose matrices are unknown" in found.warnings[0]


def test_float_arrays_are_never_guessed(tmp_path, toy):
    images, pixels, labels = toy
    for name, array in (("pixels", pixels), ("normalised", images)):
        path = npz_file(tmp_path / f"{name}.npz", images=array.numpy(), labels=labels.numpy())
        with pytest.raises(DataError, match="--range 01, --range 255, or --range normalised"):
            take(path)
    with pytest.raises(DataError, match="--preprocess meanstd"):
        take(path, flags=Flags(range="normalised"))
    with pytest.raises(DataError, match="not pixel values in"):
        take(path, flags=PIXELS)


def test_soft_labels_are_never_guessed(tmp_path, data, toy):
    pixels = toy[1]
    path = npz_file(tmp_path / "x.npz", images=pixels.numpy(), labels=np.random.default_rng(0).normal(size=(20, 10)))
    with pytest.raises(DataError, match="--labels logits or centred"):
        take(path, flags=PIXELS)
    found = take(path, flags=Flags(range="01", labels="centred"))
    assert opened(found, data)[0].label_space == "centred"
    with pytest.raises(DataError, match="no probabilities"):
        take(path, flags=Flags(range="01", labels="probs"))


def test_digits_stored_with_their_own_16_levels_are_refused(tmp_path, toy):
    _, pixels, labels = toy
    raw = (pixels * 16).round().to(torch.uint8)
    with pytest.raises(DataError, match="count to 255, those of digits to 16"):
        take(npz_file(tmp_path / "x.npz", images=raw.numpy(), labels=labels.numpy()))


class Harmful:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


def test_pickles_are_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"data": Harmful()}, "evil.pt")
    with pytest.raises(DataError, match="refused because loading them runs code"):
        take(Path("evil.pt"))
    Path("plain.pt").write_bytes(pickle.dumps({"data": Harmful()}))
    with pytest.raises(DataError, match=r"plain\.pt"):
        take(Path("plain.pt"))
    np.savez("evil.npz", images=np.array([Harmful()], dtype=object), labels=np.zeros(1))
    with pytest.raises(DataError, match="plain arrays"):
        take(Path("evil.npz"))
    assert not Path("touched").exists()


def test_broken_files_are_refused_by_name(tmp_path, toy):
    images, pixels, labels = toy
    path = dc_file(tmp_path / "res.pt", (images, labels))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"res\.pt: .*cut short|res\.pt: not a torch file"):
        take(path)
    archive = npz_file(tmp_path / "x.npz", images=pixels.numpy(), labels=labels.numpy())
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(DataError, match=r"x\.npz: not an \.npz archive"):
        take(archive)
    torch.save([images], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds a list of Tensor; expected 'data'"):
        take(tmp_path / "list.pt")
    with pytest.raises(DataError, match="'data' is empty"):
        take(dc_file(tmp_path / "none.pt"))
    folder = trajectory(tmp_path / "run", images, labels)
    (folder / "labels_best.pt").unlink()
    for given in (folder, folder / "images_best.pt"):
        with pytest.raises(DataError, match=r"labels_best\.pt is missing"):
            take(given)
    with pytest.raises(DataError, match="no such file"):
        take(tmp_path / "gone.pt")
    (tmp_path / "set.mat").touch()
    with pytest.raises(DataError, match=r"cannot read \.mat"):
        take(tmp_path / "set.mat")
    with pytest.raises(DataError, match="one positive number"):
        take(trajectory(tmp_path / "lr", images, labels, torch.tensor(-1.0)), flags=MEANSTD)


def test_image_folders_must_name_classes(tmp_path, toy):
    _, pixels, labels = toy
    folder = image_folder(tmp_path / "images", pixels, labels)
    (folder / "3").rename(folder / "three")
    with pytest.raises(DataError, match=r"three: no class of digits"):
        take(folder)
    colour = tmp_path / "colour" / "0"
    colour.mkdir(parents=True)
    Image.new("RGB", (8, 8), "olive").save(colour / "a.png")
    with pytest.raises(DataError, match=r"shape \[3, 8, 8\], those of digits .*coloured"):
        take(colour.parent)


# ---------------------------------------------------------------------------------------------------- budget columns


@pytest.mark.parametrize("drop", [0, 3, 11])
def test_a_set_of_unequal_classes_fits_its_column(tmp_path, data, toy, drop):
    images, _, labels = toy
    found = take(dc_file(tmp_path / "res.pt", (images[drop:], labels[drop:])))
    info = data[0].info
    column = column_of(found, info)
    assert (column == Budget(ipc=2)) == (drop == 0)
    assert len(labels) - drop <= sum(column.resolve(info.counts)) <= len(labels) - drop + info.classes


@pytest.mark.parametrize("counts", [(9, 9, 9), (9, 7, 2), (9, 0, 9, 4), (30, 20, 10, 5, 1)])
def test_the_set_of_an_ipc_is_known_by_it_also_where_classes_are_short(data, counts):
    info = replace(data[0].info, counts=counts)
    for ipc in range(1, max(counts) + 3):
        sizes = Budget(ipc=ipc).resolve(counts)
        for known in (sizes, None):  # hard and soft labels
            found = _ipc(known, sum(sizes), info)
            assert found is not None and Budget(ipc=found).resolve(counts) == sizes
    more = tuple(n + 1 for n in Budget(ipc=3).resolve((9, 7, 2)))
    assert _ipc(more, sum(more), replace(info, counts=(9, 7, 2))) is None, "a class has more than it could give"


@pytest.mark.parametrize("weights", [[-1.0] + [1.0] * 19, [0.0] * 20])
def test_weights_that_are_no_factors_of_losses_are_refused(weights, tmp_path, data, toy):
    images, _, labels = toy
    made = CondensedSet.of_images(images, labels, data[1].preprocess)
    write(replace(made, weights=torch.tensor(weights)), record_of(data, made), "pt", tmp_path / "set.pt")
    with pytest.raises(DataError, match="weights are negative, or all 0"):
        take(tmp_path / "set.pt")


def test_repetitions_beyond_the_sets_are_skipped_with_a_reason(data):
    found, _ = data
    params = ImportedParams(sources=("0" * 16, "1" * 16), n=20)

    def ask(r: int, ipc: int) -> tuple[str | None, str]:
        cell = CellSpec(method="imported", method_version=1, origin="", params={}, data=found.spec,
                        budget=Budget(ipc=ipc), arch="", master=0, r=r)  # fmt: skip
        return params.unsupported(cell, found.info), params.artifacts(cell)["set"].params["source"]

    assert [ask(r, 2) for r in (0, 1)] == [(None, "0" * 16), (None, "1" * 16)]
    assert "2 imported sets" in (ask(2, 2)[0] or "")
    assert "20 images, ipc 1 allows 10" in (ask(0, 1)[0] or "")


# ------------------------------------------------------------------------------------------------------------- exports


def record_of(data, condensed: CondensedSet) -> Record:
    cell = CellSpec(method="dm", method_version=1, origin="ddbench", params={"iterations": 3}, data=data[0].spec,
                    budget=Budget(ipc=2), arch="convnet2-w32-in", master=0, r=0)  # fmt: skip
    made = CellDocument(cell=cell, label="dm")
    return Record(key=key_of("set"), kind="condense", status="ok", document=made, set_sha256="0" * 64, started=WHEN,
                  finished=WHEN)  # fmt: skip


@pytest.fixture(params=["hard", "soft", "real", "real and soft"])
def made(request, data, toy) -> CondensedSet:
    """A set as methods of each sort make it; the optimised one leaves [0, 1]."""
    images, _, labels = toy
    train = data[1]
    index = torch.cat([train.of_class(c)[:2] for c in range(10)])
    plain = CondensedSet.of_images(images, labels, train.preprocess)
    if request.param == "real":
        weights = torch.linspace(0.1, 2, 20)
        return CondensedSet(None, labels, "hard", train.preprocess, Recipe(), plain.storage, index, weights)
    if request.param == "real and soft":
        probs = torch.nn.functional.one_hot(labels, 10).float() * 0.9 + 0.01
        aux = {"classes": labels, "scores": torch.rand(50)}
        return CondensedSet(None, probs, "probs", train.preprocess, Recipe(), plain.storage, index, aux=aux)
    noisy = images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    if request.param == "hard":
        return CondensedSet.of_images(noisy, labels, train.preprocess, Recipe(lr=0.03, augmentation="none"))
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(1))
    return CondensedSet.of_images(noisy, logits, train.preprocess, classes=labels)


@pytest.mark.parametrize("target", ["pt", "npz", "folder", "hf"])
def test_what_is_exported_comes_back(target, made, data, toy, tmp_path):
    if target == "hf":
        pytest.importorskip("pyarrow")
    place = tmp_path / {"pt": "set.pt", "npz": "set.npz"}.get(target, "set")
    notes = write(made, record_of(data, made), target, place)
    back, _ = opened(take(place), data)
    expected = toy[0] if made.images is None else made.images
    if target in ("pt", "npz"):
        assert torch.equal(back.images, expected)
    else:
        info = data[0].info
        pixels = (expected.double() * info.std[0] + info.mean[0]).clamp(0, 1)
        rounded = (pixels * 255).round() / 255
        torch.testing.assert_close(back.images.double(), (rounded - info.mean[0]) / info.std[0], atol=1e-4, rtol=0)
        assert any("cut there" in note for note in notes) == (made.images is not None)
    assert torch.equal(back.labels, made.labels)
    assert (back.label_space, back.recipe) == (made.label_space, made.recipe)
    assert (back.weights is None) == (made.weights is None)
    if made.weights is not None:
        torch.testing.assert_close(back.weights, made.weights)
    if "classes" in made.aux:
        assert torch.equal(back.aux["classes"], made.aux["classes"])


def test_exports_are_usable_without_ddbench(data, toy, tmp_path):
    """With torch, NumPy and torchvision alone."""
    from torchvision.datasets import ImageFolder

    images, pixels, labels = toy
    made = CondensedSet.of_images(images, labels, data[1].preprocess)
    for target, name in (("pt", "a.pt"), ("npz", "a.npz"), ("folder", "a")):
        write(made, record_of(data, made), target, tmp_path / name)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    arrays = np.load(tmp_path / "a.npz", allow_pickle=False)
    facts = json.loads(content["manifest"])
    assert json.loads(str(arrays["manifest"]))["preprocess"] == facts["preprocess"]
    mean, std = facts["preprocess"]["mean"][0], facts["preprocess"]["std"][0]
    torch.testing.assert_close(content["images"] * std + mean, pixels, atol=1e-5, rtol=0)
    assert np.array_equal(arrays["pixels"], (pixels * 255).round().to(torch.uint8).numpy())
    folder = ImageFolder(str(tmp_path / "a"))
    assert [label for _, label in folder.samples] == labels.tolist()


@pytest.fixture
def whitening(tmp_path, monkeypatch) -> tuple[dict[str, torch.Tensor], str]:
    """Matrices that sets of every record here were whitened with, and their sha256."""
    generator = torch.Generator().manual_seed(0)
    square = torch.randn(64, 64, generator=generator)
    matrices = {"mean": torch.rand(64, generator=generator), "whiten": square @ square.T / 64 + torch.eye(64)}
    place = tmp_path / "zca"
    place.mkdir()
    save_file(matrices, place / "matrices.safetensors")
    monkeypatch.setattr("ddbench.data.exchange.writers.whitening_of", lambda record: place)
    return matrices, sha256_file(place / "matrices.safetensors")


def written(target: str, place: Path) -> tuple[set[str], dict[str, Any]]:
    """What an export holds (tensors, arrays, columns and files), and its manifest."""
    if target == "pt":
        content = torch.load(place, weights_only=True)
        return set(content), json.loads(content["manifest"])
    if target == "npz":
        arrays = np.load(place, allow_pickle=False)
        return set(arrays.files), json.loads(str(arrays["manifest"]))
    names = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    if target == "folder":
        names |= set((place / "labels.csv").read_text().splitlines()[0].split(","))
    elif target == "hf":
        names |= set(pytest.importorskip("pyarrow.parquet").read_schema(next(place.rglob("*.parquet"))).names)
    else:
        names |= set(load_file(place / "condensed.safetensors"))
    return names, json.loads((place / "manifest.json").read_text())


CONTAINERS = {
    "README.md",
    "manifest",
    "manifest.json",
    "labels.csv",
    "condensed.safetensors",
    "data/train-00000-of-00001.parquet",
}
SPACES = ("meanstd", "zca-kornia", "zca-kip")


@pytest.mark.parametrize("target", ["safetensors", "pt", "npz", "folder", "hf"])
@pytest.mark.parametrize("space", SPACES)
def test_a_manifest_names_what_is_there_and_nothing_else(target, space, made, data, whitening, tmp_path):
    if target == "hf":
        pytest.importorskip("pyarrow")
    if space != "meanstd":
        made = replace(made, preprocess=Preprocess(id=space, matrices=whitening[1]))
    record, place = record_of(data, made), tmp_path / "set"
    change(record, data={"preprocess": space})
    if target == "safetensors":
        place.mkdir()
        save_set(place / "condensed.safetensors", made)
        describe_set(place, record.document.cell, "dm", made, data[0].info, record)
    elif space == "zca-kip" and target in ("folder", "hf") and made.images is not None:
        pytest.skip("there are no pixels")
    elif space == "meanstd":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ddbench.data.exchange.writers.whitening_of", lambda record: None)
            write(made, record, target, place)
    else:
        write(made, record, target, place)
    names, facts = written(target, place)
    assert facts["format"] == target
    for field in facts["fields"]:
        assert fnmatch.filter(names, field), f"{field} is not there"
    for name in names - CONTAINERS:
        assert any(fnmatch.fnmatch(name, field) for field in facts["fields"]), f"{name} is not explained"
    text = " ".join([facts["load"], facts["preprocess"]["how"], *facts["fields"].values()])
    for name in re.findall(r"whitening_\w+|soft_\w+|aux\.\w+|matrices\.\w+|\w+\.(?:csv|safetensors|json)", text):
        assert name in names, text
    commands = {word for word in re.findall("`([^`]+)`", text) if word.startswith("ddbench")}
    assert set(re.findall("`([^`]+)`", text)) <= names | set(facts) | commands
    elsewhere = (space != "meanstd" and "whitening_whiten" not in names) or "indices" in names
    assert commands == ({f"ddbench export {record.key[:16]} --to npz"} if elsewhere else set())
    assert ("whitening_whiten" in facts["preprocess"]["how"]) == (space != "meanstd" and target in ("pt", "npz"))


def test_a_whitened_set_carries_its_matrices_and_can_be_undone(tmp_path, data, toy, whitening):
    """x = W⁻¹ y + mean: with the exported matrices the exported pixels give the exported images."""
    _, pixels, labels = toy
    matrices, digest = whitening
    grey = (pixels * 255).round() / 255
    images = ((grey.flatten(1) - matrices["mean"]) @ matrices["whiten"]).view_as(grey)
    space = Preprocess(id="zca-kornia", matrices=digest)
    made = CondensedSet.of_images(images, labels, space)
    record = record_of(data, made)
    change(record, data={"preprocess": "zca-kornia"})
    write(made, record, "npz", tmp_path / "x.npz")
    found = np.load(tmp_path / "x.npz")
    assert np.array_equal(found["pixels"], (grey * 255).round().to(torch.uint8).numpy())
    again = (found["pixels"].reshape(20, -1) / 255 - found["whitening_mean"]) @ found["whitening_whiten"]
    np.testing.assert_allclose(again, found["images"].reshape(20, -1), atol=1e-4)


def test_a_set_of_other_matrices_is_not_evaluated(tmp_path, data, toy):
    images, _, labels = toy
    made = CondensedSet.of_images(images, labels, Preprocess(id="zca-kornia", matrices="0" * 64))
    record = record_of(data, made)
    from ddbench.data.exchange.manifest import as_text

    cell = record.document.cell
    facts = manifest(cell, "x", made, data[0].info, key="", set_sha256=None, form="pt", names=["images", "labels"])
    torch.save({"images": images, "labels": labels, "manifest": as_text(facts)}, tmp_path / "x.pt")
    found = take(tmp_path / "x.pt")
    assert found.preprocess == "zca-kornia"
    with pytest.raises(DataError, match="its own space alone"):
        take(tmp_path / "x.pt", flags=MEANSTD)
    with pytest.raises(DataError, match="leave out --range 01"):
        take(tmp_path / "x.pt", flags=PIXELS)
    _, key = Importer(installed(), "digits")._spec("zca-kornia", found.sources[0])
    with pytest.raises(NodeFailureError, match="other constants or matrices"):
        open_set(artifacts.verify("set", key), data[1])


@pytest.mark.parametrize("target", ["pt", "npz", "folder", "hf"])
def test_an_export_never_overwrites(target, tmp_path, data, toy):
    images, _, labels = toy
    made = CondensedSet.of_images(images, labels, data[1].preprocess)
    place = tmp_path / "here"
    if target in ("folder", "hf"):
        place.mkdir()
    else:
        place.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write(made, record_of(data, made), target, place)
    assert place.is_dir() or place.read_text() == "mine"


def test_equal_sets_have_one_hash_whatever_was_to_be_told_of_their_files(tmp_path, toy):
    images, _, labels = toy
    dc = take(dc_file(tmp_path / "res.pt", (images, labels)))
    npz = take(npz_file(tmp_path / "x.npz", images=images.numpy(), labels=labels.numpy()),
               flags=Flags(preprocess="meanstd", range="normalised"))  # fmt: skip
    assert dc.warnings != npz.warnings
    assert dc.sources == npz.sources
    other = take(npz_file(tmp_path / "y.npz", images=images.numpy() * 2, labels=labels.numpy()),
                 flags=Flags(preprocess="meanstd", range="normalised"))  # fmt: skip
    assert other.sources != npz.sources


def test_a_stored_import_holds_8_bit_pixels_as_they_were(tmp_path, toy):
    """What is charged as stored bytes is what is stored."""
    _, pixels, labels = toy
    bytes8 = (pixels * 255).round().to(torch.uint8)
    found = take(npz_file(tmp_path / "u.npz", images=bytes8.numpy(), labels=labels.numpy()))
    _, key = Importer(installed(), "digits")._spec("meanstd", found.sources[0])
    held = load_file(artifacts.folder_of("set", key) / "set.safetensors")
    assert torch.equal(held["images"], bytes8)
