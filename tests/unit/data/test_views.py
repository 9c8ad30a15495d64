"""Laws of views, on a prepared data set of 3 classes and on digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddbench.core.errors import UsageError
from ddbench.core.specs import DataSpec
from ddbench.data.describe import describe
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.views import Parts, apply_view, canonical_view
from ddbench.data.space.ids import artifact_for
from tests.unit.data import data_files as files


@pytest.fixture(scope="module")
def digits() -> Prepared:
    return resolve(parse_source("digits", files.known()))


def ids(parts: Parts, name: str) -> set[int]:
    return set(getattr(parts, name).indices.tolist())


# --- the canonical form


@pytest.mark.parametrize("view", [None, {}, [], (), {"label_flips": 0}, {"label_flips": 0.0}])
def test_view_that_changes_nothing_is_null(view: Any) -> None:
    assert canonical_view(view) is None


def test_spellings_of_one_view_are_one_view() -> None:
    shorthand = canonical_view({"label_flips": 0.2, "train_size": 100, "classes": [3, 0, 3], "seed": 5})
    listed = canonical_view(
        [
            {"name": "label_flips", "seed": 5, "fraction": 0.2},
            {"name": "classes", "classes": [0, 3]},
            {"name": "train_size", "size": 100, "seed": 5},
        ]
    )
    assert shorthand == listed
    assert shorthand is not None and [item["name"] for item in shorthand] == ["classes", "train_size", "label_flips"]


def test_canonical_form_is_a_fixed_point_and_states_its_seed() -> None:
    view = canonical_view({"train_size": 100})
    assert canonical_view(view) == view == ({"name": "train_size", "size": 100, "seed": 0},)


@pytest.mark.parametrize(
    "view",
    [
        {"trainsize": 3},
        {"train_size": 0},
        {"train_size": -1},
        {"train_size": 1.5},
        {"train_size": "100"},
        {"train_size": True},
        {"classes": []},
        {"classes": [-1]},
        {"classes": ["cat"]},
        {"classes": 3},
        {"label_flips": 1.5},
        {"label_flips": -0.1},
        {"label_flips": float("nan")},
        {"seed": 1},
        {"classes": [1], "seed": 1},
        {"train_size": 5, "seed": -1},
        [{"name": "crop"}],
        [{"size": 3}],
        [{"name": "train_size", "size": 3}, {"name": "train_size", "size": 4}],
        [{"name": "train_size", "size": 3, "extra": 1}],
        ["train_size"],
        "train_size",
        7,
    ],
    ids=str,
)
def test_impossible_view_is_a_usage_error(view: Any) -> None:
    with pytest.raises(UsageError, match="view"):
        canonical_view(view)


# --- what views do


def test_train_size_is_exact_stratified_and_a_subset(digits: Prepared) -> None:
    whole, view = apply_view(digits), apply_view(digits, view=canonical_view({"train_size": 400}))
    assert ids(view, "train") <= ids(whole, "train") and ids(view, "val") <= ids(whole, "val")
    assert len(view.train.indices) == 400 and ids(view, "test") == ids(whole, "test")
    shares = np.bincount(whole.train.labels) * 400 / 1197
    assert np.abs(np.bincount(view.train.labels) - shares).max() <= 1


def test_val_shrinks_in_proportion(digits: Prepared) -> None:
    assert len(apply_view(digits, view=canonical_view({"train_size": 399})).val.indices) == 100


def test_subsets_of_one_seed_are_nested_and_of_two_seeds_differ(digits: Prepared) -> None:
    small, large, other = (
        apply_view(digits, view=canonical_view(v))
        for v in ({"train_size": 50}, {"train_size": 51}, {"train_size": 50, "seed": 1})
    )
    assert ids(small, "train") < ids(large, "train") and ids(small, "train") != ids(other, "train")


def test_train_size_of_everything_is_everything(digits: Prepared) -> None:
    whole, view = apply_view(digits), apply_view(digits, view=canonical_view({"train_size": 1197}))
    assert all(ids(whole, part) == ids(view, part) for part in ("train", "val", "test"))


def test_too_large_train_size_states_the_largest(digits: Prepared) -> None:
    with pytest.raises(UsageError, match="largest possible for digits is 1197"):
        apply_view(digits, view=canonical_view({"train_size": 1198}))
    with pytest.raises(UsageError, match="largest possible for digits is 1497"):
        apply_view(digits, split="paper", view=canonical_view({"train_size": 1498}))


def test_train_size_below_the_number_of_classes_is_refused(digits: Prepared) -> None:
    with pytest.raises(UsageError, match="at least one image for each of 10 classes"):
        apply_view(digits, view=canonical_view({"train_size": 9}))


def test_classes_restrict_every_split_and_keep_their_numbers(digits: Prepared) -> None:
    whole, view = apply_view(digits), apply_view(digits, view=canonical_view({"classes": [3, 7]}))
    for name in ("train", "val", "test"):
        all_of, kept = getattr(whole, name), getattr(view, name)
        assert set(kept.labels.tolist()) == {3, 7}
        assert ids(view, name) == set(all_of.indices[np.isin(all_of.labels, [3, 7])].tolist())
    with pytest.raises(UsageError, match=r"classes 0\.\.9, not 10"):
        apply_view(digits, view=canonical_view({"classes": [10]}))


def test_flips_change_exactly_a_fraction_of_train_to_other_classes(digits: Prepared) -> None:
    whole, view = apply_view(digits), apply_view(digits, view=canonical_view({"label_flips": 0.2}))
    assert (whole.train.labels != view.train.labels).sum() == round(0.2 * 1197)
    assert np.array_equal(whole.train.indices, view.train.indices)
    assert np.array_equal(whole.val.labels, view.val.labels) and np.array_equal(whole.test.labels, view.test.labels)


def test_flips_of_a_larger_fraction_contain_those_of_a_smaller(digits: Prepared) -> None:
    clean = apply_view(digits).train.labels
    few, many = (apply_view(digits, view=canonical_view({"label_flips": f})).train.labels for f in (0.1, 0.3))
    assert np.array_equal(few[few != clean], many[few != clean])


def test_flips_stay_within_the_classes_of_the_view(digits: Prepared) -> None:
    view = canonical_view({"classes": [0, 3], "label_flips": 1.0})
    clean = apply_view(digits, view=canonical_view({"classes": [0, 3]})).train.labels
    assert np.array_equal(apply_view(digits, view=view).train.labels, 3 - clean)
    with pytest.raises(UsageError, match="at least 2 classes"):
        apply_view(digits, view=canonical_view({"classes": [4], "label_flips": 0.5}))


def test_views_are_the_same_in_every_process(digits: Prepared) -> None:
    """A change here changes results under unchanged keys: it needs a new way to say so in the view."""
    view = apply_view(digits, view=canonical_view({"train_size": 20, "label_flips": 0.5}))
    again = apply_view(digits, view=canonical_view({"train_size": 20, "label_flips": 0.5}))
    assert np.array_equal(view.train.indices, again.train.indices)
    assert np.array_equal(view.train.labels, again.train.labels)


def test_paper_split_gives_val_to_train(digits: Prepared) -> None:
    default, paper = apply_view(digits), apply_view(digits, split="paper")
    assert ids(paper, "train") == ids(default, "train") | ids(default, "val")
    assert len(paper.val.indices) == 0 and ids(paper, "test") == ids(default, "test")
    assert np.array_equal(default.whole.indices, paper.train.indices)


# --- describe


def spec(prepared: Prepared, **changes: Any) -> DataSpec:
    return DataSpec(name=prepared.name, revision=prepared.revision, **changes)


def test_description_counts_what_the_view_leaves(digits: Prepared) -> None:
    info = describe(digits, spec(digits, view=canonical_view({"classes": [1, 2], "train_size": 100})))
    assert (info.channels, info.size, info.classes, info.levels, info.flip) == (1, 8, 10, 16, False)
    assert info.n_train == 100 and [c for c, n in enumerate(info.counts) if n] == [1, 2]
    assert info.default_arch == "convnet2-w32-in" and "1197/300/300" in info.notes[0]
    assert info.n_test == int(np.isin(apply_view(digits).test.labels, [1, 2]).sum())


def test_computed_mean_and_std_are_those_of_train_pixels(digits: Prepared) -> None:
    info = describe(digits, spec(digits))
    train = np.asarray(digits.images[digits.split("train")], dtype=np.float64) / 16
    assert np.allclose(info.mean, train.mean()) and np.allclose(info.std, train.std())


def test_registered_constants_win_over_computed_ones(tmp_path: Path, fresh_home: Path) -> None:
    from ddbench.data.prepared.prepare import prepare

    files.write_mnist(tmp_path)
    source = parse_source("mnist", files.known())
    prepared = prepare(source, files=tmp_path)
    info = describe(prepared, spec(prepared))
    assert (info.mean, info.std, info.flip, info.default_arch) == ((0.1307,), (0.3081,), False, "convnet3-w128-in")


def test_unknown_preprocessing_names_the_nearest(digits: Prepared) -> None:
    with pytest.raises(UsageError, match=r"unknown preprocessing 'meanstdd'; did you mean meanstd"):
        describe(digits, spec(digits, preprocess="meanstdd"))


def test_cifar_constants_are_refused_for_grey_images(digits: Prepared) -> None:
    with pytest.raises(UsageError, match="three-channel"):
        describe(digits, spec(digits, preprocess="meanstd-mtt"))


def test_only_whitening_needs_an_artifact(digits: Prepared) -> None:
    assert artifact_for(spec(digits)) is None
    needed = artifact_for(spec(digits, preprocess="zca-kornia", split="paper"))
    assert needed is not None
    assert (needed.kind, needed.arch, needed.params, needed.seed) == (
        "zca",
        None,
        {"eps": 0.1, "variant": "kornia"},
        {},
    )
    assert needed.data == spec(digits, split="paper")
