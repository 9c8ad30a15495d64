"""Laws of pooled pixels: what they are, and that everything that looks at pixels sees them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.core.errors import UsageError
from ddbench.core.specs import DataSpec
from ddbench.data.describe import describe
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.pooling import pooled
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.views import apply_view, canonical_view, seen
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.params import ZCAParams
from ddbench.data.space.pixels import in_space, pixels_of, quantised
from ddbench.data.space.split import open_splits, open_test
from ddbench.data.space.whitening import build, fit
from tests.unit.data import data_files as files

POOL = canonical_view({"pool": 2})


@pytest.fixture(scope="module")
def digits() -> Prepared:
    return resolve(parse_source("digits", files.known()))


@pytest.fixture(scope="module")
def spec(digits: Prepared) -> DataSpec:
    return DataSpec(name="digits", revision=digits.revision, view=POOL)


def oracle(images: np.ndarray, k: int) -> np.ndarray:
    """Means in float64 (exact: sums of bytes over k²), .5 rounded upwards."""
    n, channels, height, width = images.shape
    squares = images.reshape(n, channels, height // k, k, width // k, k).astype(np.float64)
    found: np.ndarray = np.floor(squares.mean(axis=(3, 5)) + 0.5).astype(np.uint8)
    return found


# --- the arithmetic


@settings(deadline=None, derandomize=True, max_examples=60)
@given(k=st.integers(1, 20), side=st.integers(1, 3), channels=st.integers(1, 3), seed=st.integers(0, 99),
       top=st.sampled_from([1, 16, 255]))  # fmt: skip
def test_pixels_are_means_of_squares_rounded_half_up(k: int, side: int, channels: int, seed: int, top: int) -> None:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, top + 1, (7, channels, k * side, k * side), dtype=np.uint8)
    images[0] = top
    found = pooled(images, np.arange(7), k)
    assert found.dtype == np.uint8 and np.array_equal(found, oracle(images, k))
    assert found[0].min() == found.max() == top


def test_a_half_is_rounded_upwards() -> None:
    image = np.array([0, 0, 1, 1], dtype=np.uint8).reshape(1, 1, 2, 2)
    assert pooled(image, np.arange(1), 2).tolist() == [[[[1]]]]
    assert pooled(image, np.arange(1), 1).tolist() == image.tolist()


@settings(deadline=None, derandomize=True, max_examples=25)
@given(order=st.permutations(range(12)), count=st.integers(0, 12))
def test_pooling_commutes_with_splitting(order: list[int], count: int) -> None:
    images, chosen = files.pixels(12, 3, 6, 6), np.array(order[:count], dtype=np.int64)
    assert np.array_equal(pooled(images, chosen, 3), pooled(images, np.arange(12), 3)[chosen])


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    images = files.pixels(11, 1, 4, 4)
    whole = pooled(images, np.arange(11), 2)
    monkeypatch.setattr("ddbench.data.prepared.pooling._CHUNK", 4)
    assert np.array_equal(pooled(images, np.arange(11), 2), whole)


# --- the view


def test_pool_stands_first_and_leaves_other_views_what_they_are() -> None:
    view = canonical_view({"train_size": 50, "pool": 2, "classes": [1, 0]})
    assert view is not None and [item["name"] for item in view] == ["pool", "classes", "train_size"]
    assert view[1:] == canonical_view({"train_size": 50, "classes": [1, 0]})
    assert POOL == ({"name": "pool", "k": 2},) == canonical_view([{"name": "pool", "k": 2}])
    assert canonical_view({"pool": 1}) is None and canonical_view({"pool": 1, "train_size": 5}) == canonical_view(
        {"train_size": 5}
    )


@pytest.mark.parametrize(
    "view", [{"pool": k} for k in (0, -1, 2.0, "2", True, None)] + [{"pool": 2, "seed": 1}], ids=str
)
def test_impossible_pools_are_usage_errors(view: Any) -> None:
    with pytest.raises(UsageError, match="view"):
        canonical_view(view)


@pytest.mark.parametrize("k", [3, 16])
def test_squares_that_do_not_fill_the_images_are_refused(digits: Prepared, spec: DataSpec, k: int) -> None:
    broken = spec.model_copy(update={"view": canonical_view({"pool": k})})
    for use in (lambda: describe(digits, broken), lambda: open_splits(broken, device="cpu")):
        with pytest.raises(UsageError, match=f"view: pool {k}: images of digits are 8 pixels wide, which {k} does not"):
            use()


@settings(deadline=None, derandomize=True, max_examples=15)
@given(size=st.integers(10, 1197), flips=st.sampled_from([0, 0.3]), classes=st.sampled_from([None, [1, 4, 7]]))
def test_which_images_with_which_labels_does_not_depend_on_pooling(size: int, flips: float, classes: Any) -> None:
    digits = resolve(parse_source("digits", files.known()))
    view = {"train_size": min(size, 300), "label_flips": flips} | ({"classes": classes} if classes else {})
    plain = apply_view(digits, view=canonical_view(view))
    pool = apply_view(digits, view=canonical_view({**view, "pool": 2}))
    for name in ("train", "val", "test"):
        for field in ("indices", "labels"):
            assert np.array_equal(getattr(getattr(plain, name), field), getattr(getattr(pool, name), field))


# --- who sees pooled pixels


def test_every_split_holds_pooled_pixels(digits: Prepared, spec: DataSpec) -> None:
    parts = apply_view(digits)
    opened = (*open_splits(spec, device="cpu"), open_test(spec, device="cpu"))
    for name, split in zip(("train", "val", "test"), opened, strict=True):
        expected = oracle(np.asarray(digits.images[getattr(parts, name).indices]), 2)
        assert np.array_equal((split.pixels() * 16).numpy(), expected)


def test_facts_are_those_of_pooled_images(digits: Prepared, spec: DataSpec) -> None:
    info = describe(digits, spec)
    assert (info.size, info.image_bytes, info.levels, info.pool) == (4, 16, 16, 2)
    train = oracle(np.asarray(digits.images[digits.split("train")]), 2) / 16
    assert np.allclose(info.mean, train.mean(), rtol=1e-12) and np.allclose(info.std, train.std(), rtol=1e-12)
    images = open_splits(spec, device="cpu")[0].images()
    assert abs(float(images.mean())) < 1e-5 and abs(float(images.std()) - 1) < 1e-4


def test_constants_are_those_of_all_of_train_whatever_else_the_view_does(digits: Prepared, spec: DataSpec) -> None:
    whole = describe(digits, spec)
    for more in ({"train_size": 50}, {"classes": [3, 8]}, {"label_flips": 0.5}):
        part = describe(digits, spec.model_copy(update={"view": canonical_view({"pool": 2, **more})}))
        assert (part.mean, part.std) == (whole.mean, whole.std)
    paper = describe(digits, spec.model_copy(update={"split": "paper"}))
    assert (paper.mean, paper.std) == (whole.mean, whole.std)


def test_declared_constants_are_those_of_stored_pixels_alone(tmp_path: Path, fresh_home: Path) -> None:
    files.write_mnist(tmp_path)
    prepared = prepare(parse_source("mnist", files.known()), files=tmp_path)
    named = DataSpec(name="mnist", revision=prepared.revision, view=POOL)
    info = describe(prepared, named)
    train = oracle(np.asarray(prepared.images[prepared.split("train")]), 2) / 255
    assert info.size == 14 and info.default_arch == "convnet2-w32-in"
    assert np.allclose(info.mean, train.mean(), rtol=1e-12) and np.allclose(info.std, train.std(), rtol=1e-12)
    assert describe(prepared, named.model_copy(update={"view": None})).mean == (0.1307,)


def test_whitening_is_fitted_on_the_pooled_images_of_train(spec: DataSpec, tmp_path: Path) -> None:
    whitened, plain = spec.model_copy(update={"preprocess": "zca-kornia"}), open_splits(spec, device="cpu")[0]
    facts = SimpleNamespace(name="digits", mean=plain.preprocess.mean, std=plain.preprocess.std)
    context: Any = SimpleNamespace(train=plain, dataset=facts, device=torch.device("cpu"), progress=lambda *args: None)
    build(context, tmp_path, ZCAParams())
    mean, matrix = fit(lambda: iter([plain.pixels().flatten(1)]), ZCAParams())
    assert matrix.shape == (16, 16) and (tmp_path / MATRICES).is_file()
    found = open_splits(whitened, device="cpu", whitening=tmp_path)[0].images()
    assert torch.allclose(found.flatten(1), (plain.pixels().flatten(1) - mean) @ matrix, atol=1e-4)


def test_sets_that_point_at_images_point_at_pooled_ones(digits: Prepared, spec: DataSpec) -> None:
    train = open_splits(spec, device="cpu")[0]
    index = torch.tensor([3, 1, 700])
    pointing = CondensedSet(
        images=None, labels=train.labels[index], label_space="hard", preprocess=train.preprocess, recipe=Recipe(),
        storage=StorageBytes(images=48), indices=index,
    )  # fmt: skip
    source = np.asarray(digits.images[apply_view(digits).train.indices[index.numpy()]])
    assert np.array_equal((pixels_of(pointing, spec, None) * 16).numpy(), oracle(source, 2))
    assert torch.equal(in_space(pointing, spec, None), train.images(index))
    stored = CondensedSet(
        images=train.images(index).clone(), labels=train.labels[index], label_space="hard",
        preprocess=Preprocess(id="meanstd", mean=train.preprocess.mean, std=train.preprocess.std), recipe=Recipe(),
        storage=StorageBytes(images=192),
    )  # fmt: skip
    assert torch.allclose(pixels_of(stored, spec, None), train.pixels(index), atol=1e-6)
    bytes_of = quantised(stored, spec)[0].images
    assert bytes_of is not None and bytes_of.shape == (3, 1, 4, 4)


def test_a_view_without_a_pool_sees_the_stored_pixels(digits: Prepared) -> None:
    assert seen(digits, canonical_view({"train_size": 20})) is digits and seen(digits, None) is digits
