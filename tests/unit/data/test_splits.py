"""Laws of stratified draws and of train, val and test."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbench.core.errors import DataError
from ddbench.data.prepared.splits import make_splits, stratified

NAMES = tuple("abcdefghij")
label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array)


def draw(labels: np.ndarray, size: int, seed: int = 0) -> set[int]:
    return set(stratified(labels, size, np.random.default_rng(seed)).tolist())


@given(label_lists, st.data())
def test_draw_has_the_size_asked_for_and_every_class_when_it_can(labels: np.ndarray, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(labels)))
    chosen = draw(labels, size)
    assert len(chosen) == size
    if size >= len(set(labels.tolist())):
        assert set(labels[sorted(chosen)].tolist()) == set(labels.tolist())


@given(label_lists, st.data())
def test_smaller_draw_is_a_subset_of_a_larger_one(labels: np.ndarray, data: st.DataObject) -> None:
    small, large = sorted(data.draw(st.tuples(*[st.integers(0, len(labels))] * 2)))
    assert draw(labels, small) <= draw(labels, large)


@given(st.lists(st.integers(20, 200), min_size=2, max_size=6), st.floats(0.1, 0.9))
def test_class_shares_are_kept_to_within_an_image_and_a_half(counts: list[int], fraction: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    size = round(fraction * len(labels))
    drawn = Counter(labels[sorted(draw(labels, size))].tolist())
    for c, count in enumerate(counts):
        assert abs(drawn[c] - size * count / len(labels)) <= 1.5


def test_draw_depends_on_the_seed_alone() -> None:
    labels = np.arange(100) % 5
    assert draw(labels, 30) == draw(labels, 30) != draw(labels, 30, seed=1)


def digit_like() -> np.ndarray:
    return np.arange(1797) % 10


@pytest.mark.parametrize(
    "parts", [{"train": 1000}, {"train": 1000, "test": 200}, {"train": 1000, "val": 100, "test": 50}]
)
def test_splits_are_disjoint_cover_everything_and_keep_the_sources_own(parts: dict) -> None:  # type: ignore[type-arg]
    labels = np.arange(sum(parts.values())) % 10
    splits = make_splits(labels, parts, NAMES)
    joined = np.concatenate([splits.train, splits.val, splits.test])
    assert sorted(joined.tolist()) == list(range(len(labels)))
    if "test" in parts:
        assert splits.test.tolist() == list(range(len(labels) - parts["test"], len(labels)))
    if "val" in parts:
        assert splits.val.tolist() == list(range(1000, 1100))


def test_without_test_split_shares_are_80_10_10_and_said() -> None:
    splits = make_splits(np.arange(1000) % 10, {"train": 1000}, NAMES)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (800, 100, 100)
    assert "no test split" in splits.notes[0] and "800/100/100" in splits.notes[0]


def test_official_test_leaves_val_ten_percent_of_train_in_equal_shares() -> None:
    labels = np.arange(1200) % 10
    splits = make_splits(labels, {"train": 1000, "test": 200}, NAMES)
    assert np.bincount(labels[splits.val]).tolist() == [10] * 10
    assert splits.notes == ("the source has no val split: stratified 900/100 images (train/val), fixed seed",)


def test_a_note_counts_what_was_split_off_and_nothing_that_the_source_has() -> None:
    labels = np.arange(1100) % 10
    (note,) = make_splits(labels, {"train": 1000, "val": 100}, NAMES).notes
    assert note.startswith("the source has no test split: stratified 900/100 images (train/test), fixed seed; all res")
    assert make_splits(labels, {"train": 900, "val": 100, "test": 100}, NAMES).notes == ()


def test_a_note_counts_the_images_of_a_split_in_which_every_class_must_be() -> None:
    labels = np.array([*[0] * 20, 1, 1, 0, 1])
    splits = make_splits(labels, {"train": 22, "test": 2}, NAMES[:2])
    assert np.bincount(labels[splits.val]).tolist() == [1, 1]
    assert splits.notes == ("the source has no val split: stratified 20/2 images (train/val), fixed seed",)


def test_holdout_sizes_are_exact() -> None:
    splits = make_splits(digit_like(), {"train": 1797}, NAMES, holdout=(300, 300))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1197, 300, 300)


def test_smallest_possible_data_set_has_one_image_of_every_class_in_every_split() -> None:
    labels = np.arange(30) % 10
    splits = make_splits(labels, {"train": 30}, NAMES)
    for part in (splits.train, splits.val, splits.test):
        assert sorted(labels[part].tolist()) == list(range(10))


def test_rare_class_is_in_every_split() -> None:
    labels = np.array([0] * 500 + [1] * 3)
    splits = make_splits(labels, {"train": 503}, NAMES[:2])
    assert all((labels[part] == 1).sum() == 1 for part in (splits.train, splits.val, splits.test))


def test_class_that_is_too_small_is_named() -> None:
    with pytest.raises(DataError, match=r"class 'b' has 2 training images; needs ≥ 3"):
        make_splits(np.array([0] * 10 + [1] * 2), {"train": 12}, NAMES[:2])
    with pytest.raises(DataError, match=r"class 'b' has 1 training image; needs ≥ 2 \(one each for train and val\)"):
        make_splits(np.array([0] * 10 + [1] + [0, 1]), {"train": 11, "test": 2}, NAMES[:2])


def test_classes_that_the_sources_own_test_part_lacks_are_noted() -> None:
    splits = make_splits(np.array([0, 1, 2] * 5 + [0, 0]), {"train": 15, "test": 2}, NAMES[:3])
    assert splits.notes[0] == "no test image is of b, c"


def test_copies_stay_on_one_side_and_data_without_copies_are_split_as_before() -> None:
    labels = np.arange(60) % 3
    plain = make_splits(labels, {"train": 60}, NAMES[:3])
    same = make_splits(labels, {"train": 60}, NAMES[:3], copies=np.arange(60))
    assert all(np.array_equal(getattr(plain, part), getattr(same, part)) for part in ("train", "val", "test"))
    first = np.arange(60) // 12 * 12 + np.arange(60) % 12 % 6  # images 6 … 11 of every dozen are copies of 0 … 5
    split = make_splits(labels, {"train": 60}, NAMES[:3], copies=first)
    sides = [set(first[getattr(split, part)].tolist()) for part in ("train", "val", "test")]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert sorted(np.concatenate([split.train, split.val, split.test])) == list(range(60))
    assert all(len(set(labels[getattr(split, part)])) == 3 for part in ("train", "val", "test"))


def test_a_class_of_copies_alone_is_too_small() -> None:
    labels = np.array([0] * 10 + [1] * 10)
    first = np.array([*range(10), *[10] * 10])
    with pytest.raises(DataError, match="'b' has 10 training images, 9 of them copies of others; needs ≥ 3 different"):
        make_splits(labels, {"train": 20}, NAMES[:2], copies=first)
