"""Accuracy after uint8 quantisation: what happens to images, and to records."""

from __future__ import annotations

import json

import pytest
import torch

from ddbench.core.api import CondensedSet
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DataSpec
from ddbench.core.store.tensors import load_set
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.space.pixels import quantised, to_uint8
from ddbench.data.space.split import open_splits
from tests.e2e.runs import SMOKE, contents, ddbench, evaluations


def digits(**fields):
    revision = resolve(parse_source("digits", installed().datasets)).revision
    return DataSpec(**{"name": "digits", "revision": revision, **fields})


def test_pixels_of_256_levels_stay_and_all_others_become_one_of_them():
    levels = torch.arange(256) / 255
    assert torch.equal(to_uint8(levels), levels)
    found = to_uint8(torch.linspace(-2, 3, 1001))
    assert torch.equal((found * 255).round() / 255, found)
    assert (found.min(), found.max()) == (0, 1)
    inside = torch.linspace(0, 1, 1001)
    assert (to_uint8(inside) - inside).abs().max() <= 0.5 / 255 + 1e-7


def set_of(images, train):
    return CondensedSet.of_images(images, torch.zeros(len(images), dtype=torch.int64), train.preprocess)


def test_quantised_images_are_the_standardised_form_of_whole_levels():
    data = digits()
    train, _ = open_splits(data, device="cpu")
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found, clipped = quantised(set_of(images, train), data)
    mean, std = train.preprocess.mean[0], train.preprocess.std[0]
    by_hand = ((images * std + mean).clamp(0, 1) * 255).round() / 255
    torch.testing.assert_close(found.images, (by_hand - mean) / std)
    raw = images * std + mean
    assert clipped == pytest.approx(100 * float(((raw < -0.5 / 255) | (raw > 1 + 0.5 / 255)).double().mean()))
    again, _ = quantised(found, data)
    torch.testing.assert_close(again.images, found.images, atol=1e-6, rtol=0)


def test_a_set_of_real_images_is_the_same_object():
    train, _ = open_splits(digits(), device="cpu")
    like = set_of(train.images(torch.arange(3)), train)
    real = CondensedSet(None, like.labels, "hard", like.preprocess, like.recipe, like.storage, torch.arange(3))
    assert quantised(real, digits()) == (real, 0.0)


@pytest.mark.parametrize("space", ["zca-kornia", "zca-frepo"])
def test_whitened_images_of_whole_levels_stay(tmp_path, space):
    from safetensors.torch import save_file

    from ddbench.data.space.matrices import MATRICES
    from ddbench.data.space.params import ZCAParams
    from ddbench.data.space.preprocess import fronts
    from ddbench.data.space.whitening import fit

    variant = space.removeprefix("zca-")
    plain, _ = open_splits(digits(), device="cpu")
    rows = fronts(plain.preprocess.mean, plain.preprocess.std, torch.device("cpu"))[variant]
    mean, whiten = fit(lambda: iter([rows(plain.pixels())]), ZCAParams(variant=variant))
    save_file({"mean": mean, "whiten": whiten}, tmp_path / MATRICES)
    data = digits(preprocess=space)
    train, _ = open_splits(data, device="cpu", whitening=tmp_path)
    images = train.preprocessed(to_uint8(plain.pixels(torch.arange(5))))
    found, clipped = quantised(set_of(images, train), data, tmp_path)
    torch.testing.assert_close(found.images, images, atol=1e-4, rtol=0)
    assert clipped == 0.0


def test_kip_space_keeps_no_pixels():
    train, _ = open_splits(digits(), device="cpu")
    images = set_of(train.images(torch.arange(3)), train)
    declared = images.preprocess.model_copy(update={"id": "zca-kip"})
    odd = CondensedSet(images.images, images.labels, "hard", declared, images.recipe, images.storage)
    with pytest.raises(UsageError, match="cannot be turned back"):
        quantised(odd, digits(preprocess="zca-kip"))


RUN = ("--methods", "random,dm", "--ipc", "1", "--seeds", "2", "--set", "dm.iterations=2", "--set", "dm.init=noise")


def test_records_get_the_accuracy_of_a_second_training_and_nothing_else_changes(tmp_path, capsys):
    out = tmp_path / "runs"
    command = ("run", *RUN, "--protocols", "hard,noaug", "--out", out, "--reference-limit", "0", *SMOKE)
    assert ddbench(*command) == 0
    table, before, files = capsys.readouterr().out, evaluations(out), contents(out)
    assert ddbench("results", "quantise", "--out", out, "--protocols", "hard") == 0
    told = capsys.readouterr()
    assert "4 of 4 evaluations have top1_uint8; 4 new" in told.out
    assert contents(out) == files
    for path, record in evaluations(out).items():
        top1, clipped = (record["metrics"].pop(name, None) for name in ("top1_uint8", "uint8_clipped"))
        assert record | {"seal": ""} == before[path] | {"seal": ""}
        if record["spec"]["eval"]["protocol"] == "noaug":
            assert top1 is None
        elif record["spec"]["label"] == "random":
            assert (top1, clipped) == (record["metrics"]["top1"], 0.0)
        else:
            assert clipped > 10, "noise of the networks' space leaves [0, 1]"
            assert top1 == pytest.approx(by_hand(path, record))
    assert ddbench(*command) == 0
    assert capsys.readouterr().out == table
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert ddbench("results", "quantise", "--out", out, "--protocols", "hard@2") == 0
    assert "0 new" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == stamps


def test_what_was_removed_or_changed_while_a_student_trained_is_not_written_back(tmp_path, capsys, monkeypatch):
    from ddbench.results.audit import quantised as module

    out = tmp_path / "runs"
    assert ddbench("run", *RUN, "--protocols", "hard", "--out", out, "--reference-limit", "0", *SMOKE) == 0
    (gone, _), (changed, record) = [
        (path, record) for path, record in evaluations(out).items() if record["spec"]["label"].startswith("dm")
    ]
    train = module.train_again

    def meanwhile(*arguments):
        gone.unlink(missing_ok=True)
        other = {**record, "metrics": {**record["metrics"], "quartiles": [1, 2, 3, 4]}}
        del other["seal"]
        changed.write_text(json.dumps(other))
        yield from train(*arguments)

    monkeypatch.setattr(module, "train_again", meanwhile)
    assert ddbench("results", "quantise", "--out", out) == 1
    assert "changed on disk in the meantime" in capsys.readouterr().err
    assert not gone.exists()
    assert {"top1_uint8", "quartiles"} <= evaluations(out)[changed]["metrics"].keys()


def by_hand(path, record):
    """The accuracy of the recorded student on the quantised set, through the evaluation stage alone."""
    from ddbench.core.specs import EvalSpec
    from ddbench.work.evaluate.stage import Evaluation

    data = DataSpec.model_validate(record["spec"]["set"]["cell"]["data"])
    condensed, _ = quantised(load_set(path.parents[1] / "condensed.safetensors"), data)
    found = Evaluation(
        EvalSpec.model_validate(record["spec"]["eval"]), installed().protocols.get("hard"), data, condensed,
        torch.device("cpu"), installed(), chosen=record["selection"],
    )  # fmt: skip
    return found.run().metrics["top1"]


def test_an_empty_folder_and_an_unknown_protocol_are_usage_errors(tmp_path, capsys):
    assert ddbench("results", "quantise", "--out", tmp_path) == 2
    assert "holds no such evaluations" in capsys.readouterr().err
    assert ddbench("results", "quantise", "--out", tmp_path, "--protocols", "hrad") == 2
    assert "did you mean" in capsys.readouterr().err
