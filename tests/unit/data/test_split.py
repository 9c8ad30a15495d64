"""Laws of the tensors that methods see, and of whitening."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ddbench.core.api import Preprocess
from ddbench.core.errors import DataError, UsageError
from ddbench.core.specs import DataSpec
from ddbench.data.prepared import views
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.views import apply_view, canonical_view
from ddbench.data.space import split as split_module
from ddbench.data.space.ids import artifact_for
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.params import ZCAParams
from ddbench.data.space.preprocess import Standardise, fronts
from ddbench.data.space.split import Split, open_splits, open_test, open_whole
from ddbench.data.space.whitening import build, fit
from tests.unit.data import data_files as files


@pytest.fixture(scope="module")
def digits() -> Prepared:
    return resolve(parse_source("digits", files.known()))


@pytest.fixture(scope="module")
def spec(digits: Prepared) -> DataSpec:
    return DataSpec(name="digits", revision=digits.revision)


def context(train: Split) -> Any:
    """As much of a RunContext as an artifact needs."""
    facts = SimpleNamespace(name="digits", mean=train.preprocess.mean, std=train.preprocess.std)
    return SimpleNamespace(train=train, dataset=facts, device=torch.device("cpu"), progress=lambda *args: None)


@pytest.fixture(scope="module")
def matrices(spec: DataSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zca")
    build(context(open_splits(spec, device="cpu")[0]), folder, ZCAParams())
    return folder


def test_splits_hold_the_prepared_pixels_and_labels(digits: Prepared, spec: DataSpec) -> None:
    parts = apply_view(digits)
    opened = dict(
        zip(("train", "val", "test"), (*open_splits(spec, device="cpu"), open_test(spec, device="cpu")), strict=True)
    )
    for name, split in opened.items():
        indices = getattr(parts, name).indices
        assert np.array_equal(split.source_indices, indices) and np.array_equal(split.labels, digits.labels[indices])
        assert np.array_equal((split.pixels() * 16).numpy(), digits.images[indices])
    assert [len(split) for split in opened.values()] == [1197, 300, 300]


def test_train_images_have_zero_mean_and_unit_std(spec: DataSpec) -> None:
    images = open_splits(spec, device="cpu")[0].images()
    assert images.dtype == torch.float32 and images.shape == (1197, 1, 8, 8)
    assert abs(float(images.mean())) < 1e-5 and abs(float(images.std()) - 1) < 1e-4


def test_whole_is_the_union_of_train_and_val_and_equals_the_paper_split(spec: DataSpec) -> None:
    whole = open_whole(spec, device="cpu")
    train, val = open_splits(spec, device="cpu")
    assert sorted(whole.source_indices.tolist()) == sorted(
        [*train.source_indices.tolist(), *val.source_indices.tolist()]
    )
    paper, nothing = open_splits(spec.model_copy(update={"split": "paper"}), device="cpu")
    assert torch.equal(paper.images(), whole.images()) and torch.equal(paper.labels, whole.labels)
    assert len(nothing) == 0 and nothing.images().shape == (0, 1, 8, 8)


def uint8_split(count: int = 50, cache_bytes: int | None = 2**20) -> Split:
    images = torch.from_numpy(files.pixels(count, 3, 8, 8))
    transform = Standardise(Preprocess(id="meanstd", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)), torch.device("cpu"))
    labels = torch.from_numpy(files.cycle(count, 4))
    return Split(images, labels, transform, levels=255, source_indices=torch.arange(count), cache_bytes=cache_bytes)


def test_images_are_the_same_to_the_bit_with_and_without_a_cache() -> None:
    cached, uncached = uint8_split(), uint8_split(cache_bytes=0)
    index = torch.tensor([3, 3, 49, 0])
    assert torch.equal(cached.images(index), uncached.images(index))
    assert torch.equal(cached.images(), uncached.images())
    assert torch.equal(cached.images(index), cached.images()[index])


def test_a_large_split_is_kept_as_bytes_until_all_its_floats_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_module, "CPU_CACHE_BYTES", 50 * 3 * 8 * 8 * 4 - 1)
    large, small = uint8_split(50, None), uint8_split(49, None)
    whole: list[Split] = []
    monkeypatch.setattr(Split, "_preprocess_all", lambda self: whole.append(self) or self.pixels())
    for split in (large, large, small, small):
        split.images(torch.tensor([3, 4]))
    assert whole == [small]
    assert large.images() is large.images()
    assert whole == [small, large]


def test_standardised_images_are_pixels_minus_mean_over_std() -> None:
    split = uint8_split()
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    assert torch.allclose(split.images(), (split.pixels() - mean) / std)


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_writing_to_pixels_or_a_batch_changes_nothing(cache_bytes: int) -> None:
    split = uint8_split(cache_bytes=cache_bytes)
    index = torch.arange(5)
    before = split.images(index).clone()
    split.pixels().zero_()
    split.images(index).zero_()
    assert torch.equal(split.images(index), before)


def test_opening_again_draws_no_view_and_copies_no_pixels(spec: DataSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec.model_copy(update={"view": canonical_view({"train_size": 20, "label_flips": 0.5})})
    index = torch.arange(5)
    first = open_splits(spec, device="cpu")[0]

    def refused(*args: object, **kwargs: object) -> None:
        raise AssertionError("this was done before")

    monkeypatch.setattr(views, "apply_view", refused)
    monkeypatch.setattr(Prepared, "pixels", refused)
    again, test = open_splits(spec, device="cpu")[0], open_test(spec, device="cpu")
    assert torch.equal(again.images(index), first.images(index))
    assert torch.equal(again.labels, first.labels) and torch.equal(again.source_indices, first.source_indices)
    assert len(test.images()) == len(test)


def test_what_a_node_writes_into_its_split_reaches_neither_the_next_nor_the_files(spec: DataSpec) -> None:
    one, kept = open_splits(spec, device="cpu")[0], open_splits(spec, device="cpu")[0].images().clone()
    labels, positions = one.labels.clone(), one.source_indices.clone()
    for part in (one.images(), one.labels, one.source_indices, one._rows, one._uint8):
        part.zero_()
    another = open_splits(spec, device="cpu")[0]
    assert torch.equal(another.images(), kept)
    assert torch.equal(another.labels, labels) and torch.equal(another.source_indices, positions)


def test_members_of_all_classes_partition_the_split() -> None:
    split = uint8_split()
    members = [split.of_class(c) for c in range(5)]
    assert all((split.labels[m] == c).all() for c, m in enumerate(members))
    assert torch.cat(members).sort().values.tolist() == list(range(50)) and len(members[4]) == 0
    assert split.of_class(2) is split.of_class(2)


def test_view_reaches_the_tensors(spec: DataSpec) -> None:
    view = canonical_view({"classes": [2, 5], "train_size": 30, "label_flips": 0.5})
    train, val = open_splits(spec.model_copy(update={"view": view}), device="cpu")
    clean, _ = open_splits(
        spec.model_copy(update={"view": canonical_view({"classes": [2, 5], "train_size": 30})}), device="cpu"
    )
    assert len(train) == 30 and set(val.labels.tolist()) == {2, 5}
    assert int((train.labels != clean.labels).sum()) == 15 and torch.equal(train.images(), clean.images())


def test_missing_revision_and_unknown_preprocessing_are_errors(spec: DataSpec) -> None:
    with pytest.raises(DataError, match="not prepared"):
        open_splits(spec.model_copy(update={"revision": "0" * 16}), device="cpu")
    with pytest.raises(UsageError, match="unknown preprocessing"):
        open_splits(spec.model_copy(update={"preprocess": "zca"}), device="cpu")


# --- whitening


def correlated(count: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(size, size, generator=generator)
    return torch.sigmoid(torch.randn(count, size, generator=generator) @ mix / 2)


def in_chunks(images: Tensor, size: int) -> Any:
    def chunks() -> Iterator[Tensor]:
        return iter(images.split(size))

    return chunks


def test_whitened_covariance_has_eigenvalues_shrunk_by_eps() -> None:
    images = correlated(400, 12)
    mean, whiten = fit(in_chunks(images, 400), ZCAParams())
    white = ((images - mean) @ whiten).double().numpy()
    before = np.linalg.eigvalsh(np.cov(images.double().numpy(), rowvar=False))
    after = np.linalg.eigvalsh(np.cov(white, rowvar=False))
    assert np.allclose(after, before / (before + 0.1), atol=1e-5) and np.abs(white.mean(0)).max() < 1e-5


def test_whitening_is_symmetric_and_does_not_depend_on_chunks() -> None:
    images = correlated(300, 10)
    (mean, whiten), (other_mean, other) = (
        fit(in_chunks(images, 300), ZCAParams()),
        fit(in_chunks(images, 7), ZCAParams()),
    )
    assert torch.equal(whiten, whiten.T)
    assert torch.allclose(whiten, other, atol=1e-6) and torch.allclose(mean, other_mean, atol=1e-7)


def test_more_pixels_than_images_can_be_whitened() -> None:
    _, whiten = fit(in_chunks(correlated(5, 12), 5), ZCAParams())
    largest = torch.linalg.eigvalsh(whiten.double()).max()
    assert torch.isfinite(whiten).all() and abs(float(largest) - 0.1**-0.5) < 1e-4, "null space: 1 / sqrt(eps)"


@pytest.mark.parametrize("variant", ["frepo", "kip"])
def test_relative_variants_regularise_by_the_mean_eigenvalue(variant: Any) -> None:
    """The spectrum after whitening is s / (s + λ) with λ = 0.1 tr / d."""
    rows = correlated(400, 12)
    mean, whiten = fit(in_chunks(rows, 100), ZCAParams(variant=variant))
    centred = rows - (rows.mean(0) if variant == "frepo" else 0)
    assert torch.allclose(mean, rows.mean(0) if variant == "frepo" else torch.zeros(12), atol=1e-5)
    before = torch.linalg.eigvalsh((centred.T @ centred).double() / len(rows))
    moved = (rows - mean) @ whiten
    after = torch.linalg.eigvalsh((moved.T @ moved).double() / len(rows))
    assert torch.allclose(after.sort()[0], (before / (before + 0.1 * before.mean())).sort()[0], atol=1e-4)


def test_each_variant_prepares_images_in_its_own_way() -> None:
    pixels = torch.rand(5, 3, 4, 4)
    rows = fronts((0.5, 0.4, 0.3), (0.2, 0.2, 0.1), torch.device("cpu"))
    assert torch.equal(rows["kornia"](pixels.clone()), pixels.flatten(1))
    standard = (pixels - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.2, 0.1])[:, None, None]
    assert torch.allclose(rows["frepo"](pixels.clone()), standard.flatten(1), atol=1e-5)
    unit = rows["kip"](pixels.clone())
    assert torch.allclose(unit.norm(dim=1), torch.ones(5)) and torch.allclose(unit.mean(1), torch.zeros(5), atol=1e-6)
    assert torch.isfinite(rows["kip"](torch.zeros(1, 3, 4, 4))).all()


@pytest.mark.parametrize(("space", "variant"), [("zca-frepo", "frepo"), ("zca-kip", "kip")])
def test_every_space_has_matrices_of_its_own(spec: DataSpec, tmp_path: Path, space: str, variant: Any) -> None:
    needed = artifact_for(spec.model_copy(update={"preprocess": space}))
    assert needed is not None and needed.params["variant"] == variant
    plain = open_splits(spec, device="cpu")[0]
    build(context(plain), tmp_path, ZCAParams(variant=variant))
    train, val = open_splits(spec.model_copy(update={"preprocess": space}), device="cpu", whitening=tmp_path)
    tensors = load_file(tmp_path / MATRICES)
    rows = fronts(plain.preprocess.mean, plain.preprocess.std, torch.device("cpu"))[variant]
    expected = (rows(val.pixels()) - tensors["mean"]) @ tensors["whiten"]
    assert torch.allclose(val.images().flatten(1), expected, atol=1e-5)
    assert train.preprocess.id == space


def test_whitening_needs_two_images() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        fit(in_chunks(correlated(1, 4), 1), ZCAParams())


def test_whitened_split_is_train_pixels_through_the_matrices(spec: DataSpec, matrices: Path) -> None:
    zca = spec.model_copy(update={"preprocess": "zca-kornia"})
    train, val = open_splits(zca, device="cpu", whitening=matrices)
    tensors = load_file(matrices / MATRICES)
    for split in (train, val, open_test(zca, device="cpu", whitening=matrices / MATRICES)):
        expected = (split.pixels().flatten(1) - tensors["mean"]) @ tensors["whiten"]
        assert torch.allclose(split.images().flatten(1), expected, atol=1e-5)
    assert train.preprocess == Preprocess(
        id="zca-kornia", matrices=hashlib.sha256((matrices / MATRICES).read_bytes()).hexdigest()
    )


def test_whitened_images_are_the_same_to_the_bit_in_any_batch(
    spec: DataSpec, matrices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zca = spec.model_copy(update={"preprocess": "zca-kornia"})
    kept = open_splits(zca, device="cpu", whitening=matrices)[0].images()
    monkeypatch.setattr(split_module, "CACHE_BYTES", 0)
    fresh = open_splits(zca, device="cpu", whitening=matrices)[0]
    assert torch.equal(fresh.images(torch.tensor([7, 1])), kept[[7, 1]])


def test_whitening_is_fitted_on_train_alone(spec: DataSpec, matrices: Path) -> None:
    train = open_splits(spec, device="cpu")[0]
    assert torch.allclose(load_file(matrices / MATRICES)["mean"], train.pixels().flatten(1).double().mean(0).float())


def test_whitening_without_its_matrices_is_refused(spec: DataSpec, tmp_path: Path) -> None:
    zca = spec.model_copy(update={"preprocess": "zca-kornia"})
    with pytest.raises(DataError, match="needs its whitening matrices"):
        open_splits(zca, device="cpu")
    with pytest.raises(DataError, match="cannot read whitening matrices"):
        open_splits(zca, device="cpu", whitening=tmp_path)
    (tmp_path / MATRICES).write_bytes(b"not safetensors")
    with pytest.raises(DataError, match="cannot read whitening matrices"):
        open_splits(zca, device="cpu", whitening=tmp_path)
