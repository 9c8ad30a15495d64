"""Laws of split ``tune``: train and val as reported, and another test part, which nothing reported has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.errors import UsageError
from ddbench.core.specs import DataSpec
from ddbench.data.describe import describe
from ddbench.data.prepared import on_disk, views
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.views import Parts, apply_view, canonical_view
from ddbench.data.space.split import open_splits, open_test
from tests.unit.data import data_files as files


@pytest.fixture(scope="module")
def digits() -> Prepared:
    return resolve(parse_source("digits", files.known()))


def ids(parts: Parts, name: str) -> set[int]:
    return set(getattr(parts, name).indices.tolist())


def check(prepared: Prepared, view: Any) -> None:
    """All that split ``tune`` promises of one view."""
    transforms = canonical_view(view)
    reported, tune = (apply_view(prepared, split=split, view=transforms) for split in ("default", "tune"))
    for name in ("train", "val"):
        for field in ("indices", "labels"):
            assert np.array_equal(getattr(getattr(reported, name), field), getattr(getattr(tune, name), field))
    own = {name: set(prepared.split(name).tolist()) for name in ("train", "val", "test")}
    assert ids(tune, "test") <= own["train"]
    assert not ids(tune, "test") & (ids(tune, "train") | ids(tune, "val") | own["val"] | own["test"])
    assert np.array_equal(tune.test.labels, np.asarray(prepared.labels)[tune.test.indices])
    present = np.unique(reported.test.labels)
    assert np.array_equal(np.unique(tune.test.labels), present)
    own_labels = np.asarray(prepared.labels)[sorted(own["train"])]
    left = np.isin(own_labels, present).sum() - len(tune.train.indices)
    assert 10 * len(present) <= len(tune.test.indices) == min(5000, left)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    size=st.integers(10, 250), seed=st.integers(0, 3), flips=st.sampled_from([0, 0.4]), pool=st.sampled_from([1, 2]),
    classes=st.sampled_from([None, [1, 4, 7], [0, 2, 3, 8, 9]]),
)  # fmt: skip
def test_tune_is_apart_from_all_that_is_reported(size: int, seed: int, flips: float, pool: int, classes: Any) -> None:
    digits = resolve(parse_source("digits", files.known()))
    view = {"train_size": size, "label_flips": flips, "pool": pool, "seed": seed}
    check(digits, view | ({"classes": classes} if classes else {}))


def test_tune_is_apart_where_the_source_has_a_test_set(tmp_path: Path, fresh_home: Path) -> None:
    files.write_mnist(tmp_path, count=400, tests=60)
    prepared = prepare(parse_source("mnist", files.known()), files=tmp_path)
    for view in ({"train_size": 100}, {"train_size": 200, "pool": 2}, {"train_size": 40, "classes": [0, 1]}):
        check(prepared, view)


def test_the_draw_is_bounded_stratified_and_always_the_same(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    view = canonical_view({"train_size": 200})
    everything = apply_view(digits, split="tune", view=view).test
    monkeypatch.setattr(views, "TUNE_IMAGES", 300)
    few, again = (apply_view(digits, split="tune", view=view).test for _ in range(2))
    assert len(few.indices) == 300 and set(few.indices) < set(everything.indices)
    assert np.array_equal(few.indices, again.indices)
    shares = np.bincount(everything.labels) * 300 / len(everything.labels)
    assert np.abs(np.bincount(few.labels) - shares).max() <= 1


def test_own_test_images_are_never_opened(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = on_disk._array

    def watched(folder: Path, name: str) -> Any:
        opened.append(name)
        return real(folder, name)

    test = set(digits.split("test").tolist())
    monkeypatch.setattr(on_disk, "_array", watched)
    views._drawn.cache_clear()  # what another test of this process drew, too
    spec = DataSpec(name="digits", revision=digits.revision, split="tune", view=canonical_view({"train_size": 200}))
    info, (train, val), scored = describe(digits, spec), open_splits(spec, device="cpu"), open_test(spec, device="cpu")
    assert set(opened) == {"images", "labels", "train", "val"}
    assert not test & set(np.concatenate([split.source_indices for split in (train, val, scored)]).tolist())
    assert info.n_test == len(scored) == 997


def test_a_view_that_leaves_too_little_is_refused(digits: Prepared) -> None:
    wanted = r"leaves out: give the view a train_size below 1098 \(see `ddbench tune --help`\)"
    for view in (None, {"pool": 2}, {"train_size": 1098}, {"train_size": 1197}):
        with pytest.raises(UsageError, match=wanted):
            apply_view(digits, split="tune", view=canonical_view(view))
    assert len(apply_view(digits, split="tune", view=canonical_view({"train_size": 1097})).test.indices) == 100
    with pytest.raises(UsageError, match="leaves out: give the view a train_size below"):
        apply_view(digits, split="tune", view=canonical_view({"classes": [3, 7]}))


def test_a_data_set_that_is_too_small_to_tune_on_is_refused(tmp_path: Path, fresh_home: Path) -> None:
    files.write_mnist(tmp_path)
    prepared = prepare(parse_source("mnist", files.known()), files=tmp_path)
    with pytest.raises(UsageError, match="leaves out: mnist has too few"):
        apply_view(prepared, split="tune", view=canonical_view({"train_size": 10}))
