"""The store: nothing half-written counts, nothing finished is lost."""

from __future__ import annotations

import errno
import json
import os
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch

from ddbench.core.api import CondensedSet, Preprocess, Recipe
from ddbench.core.errors import CorruptFileError, NewerRecordError, StoreError, UsageError
from ddbench.core.keys import short
from ddbench.core.records import Record
from ddbench.core.store import artifacts
from ddbench.core.store.files import StoreWarning, atomic_write, below
from ddbench.core.store.folder import CONDENSE, SET, Store, amend, evaluation_path, read_record, write_record
from ddbench.core.store.tensors import load_set, load_state, save_set, save_state
from tests.factories import keyed, pair, unsealed


def a_set(value: float = 0.5) -> CondensedSet:
    return CondensedSet.of_images(
        torch.full((4, 1, 8, 8), value), torch.tensor([0, 0, 1, 1]), Preprocess(id="meanstd", mean=(0.1,), std=(0.2,)),
        Recipe(lr=0.02),
    )  # fmt: skip


def a_record(kind: str = "condense", **fields) -> Record:
    condensation, evaluation = keyed(pair("dm"))
    record = condensation if kind == "condense" else evaluation
    return record.model_copy(update=fields)


def place_of(folder: Path, record: Record) -> Path:
    """Where a results folder has a record."""
    place = folder / short(record.document.set.key)
    return place / CONDENSE if record.kind == "condense" else evaluation_path(place, record.key)


def its_folder(folder: Path) -> Path:
    return folder / short(a_record().key)


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"no space left writing .*nothing that finished is lost"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_out_below_a_file_is_found_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*choose a folder"):
        Store(tmp_path / "file" / "runs").check_writable()


def test_a_set_survives_the_round_trip(tmp_path):
    save_set(tmp_path / SET, a_set())
    again = load_set(tmp_path / SET)
    assert torch.equal(again.images, a_set().images)
    assert (again.label_space, again.preprocess, again.recipe, again.storage) == (
        "hard", a_set().preprocess, a_set().recipe, a_set().storage,
    )  # fmt: skip


def test_a_set_exists_only_with_its_record(tmp_path):
    store, place = Store(tmp_path), its_folder(tmp_path)
    digest = store.publish_set(place, a_set())
    assert store.condensation(place) is None
    write_record(place / CONDENSE, a_record(set_sha256=digest))
    assert store.load_set(place)[1].set_sha256 == digest


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "other"])
def test_a_damaged_set_counts_as_missing(tmp_path, damage):
    store, tmp_path = Store(tmp_path), its_folder(tmp_path)
    write_record(tmp_path / CONDENSE, a_record(set_sha256=store.publish_set(tmp_path, a_set())))
    path = tmp_path / SET
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[:-10])
    elif damage == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "delete":
        path.unlink()
    else:
        save_set(path, a_set(0.25))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CorruptFileError):
            store.load_set(tmp_path)
        assert store.condensation(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"key": "x"}', "\x00\xff"])
def test_a_corrupt_record_is_set_aside_and_counts_as_missing(tmp_path, text):
    path = tmp_path / CONDENSE
    path.write_text(text)
    with pytest.warns(StoreWarning, match="counts as missing"):
        assert read_record(path) is None
    assert (tmp_path / f"{CONDENSE}.corrupt").exists()
    assert not path.exists()


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [SET, CONDENSE])
def test_who_only_reads_leaves_damaged_files_where_they_are(tmp_path, fresh_home, name):
    store, tmp_path = Store(tmp_path), its_folder(tmp_path)
    write_record(tmp_path / CONDENSE, a_record(set_sha256=store.publish_set(tmp_path, a_set())))
    (tmp_path / name).write_bytes(b"garbage")
    before = everything(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(store.records())
        with pytest.raises(CorruptFileError) as told:
            store.load_set(tmp_path, keep=True)
    assert everything(tmp_path) == before
    assert bool(found) == (name == SET)
    if name == SET:
        assert str(tmp_path / SET) in str(told.value)
        assert f"`ddbench results rm {short(a_record().key)}" in str(told.value)


def test_metrics_are_added_to_the_record_as_it_is_by_now(tmp_path):
    path = place_of(tmp_path, a_record("evaluation"))
    read = a_record(kind="evaluation", metrics={"top1": 50.0})
    write_record(path, a_record(kind="evaluation", metrics={"top1": 50.0, "other": 1}, warnings=["new"]))
    told = amend(path, read, {"mine": 2})
    assert told == read_record(path)
    assert (told.metrics, told.warnings) == ({"top1": 50.0, "other": 1, "mine": 2}, ["new"])


@pytest.mark.parametrize(
    "now", [None, {"key": "cd" * 32}, {"set_sha256": "0" * 64}, {"finished": "later"}, {"status": "nan"}]
)
def test_a_record_that_was_removed_or_made_anew_gets_no_metrics_of_the_old_one(tmp_path, now):
    path = place_of(tmp_path, a_record("evaluation"))
    if now is not None:
        write_record(path, a_record(**{"kind": "evaluation", "metrics": {"top1": 60.0}, **now}))
    before = everything(tmp_path)
    assert amend(path, a_record(kind="evaluation", metrics={"top1": 50.0}), {"mine": 2}) is None
    assert everything(tmp_path) == before


def test_the_frame_has_a_row_for_each_record_with_nested_fields_as_columns(tmp_path, fresh_home):
    for name, top1 in (("a", 50.0), ("b", 60.0)):
        record = a_record(kind="evaluation", metrics={"top1": top1})
        write_record(place_of(tmp_path / name, record), record)
    assert Store(tmp_path).frame()["metrics.top1"].tolist() == [50.0, 60.0]


@pytest.mark.parametrize(("name", "why"), [("schema", "schema 2"), ("key_format", "key_format 2")])
def test_a_record_of_a_newer_format_is_refused_as_such(name, why):
    with pytest.raises(NewerRecordError, match=why):
        Record.from_json(a_record().to_json().replace(f'"{name}": 1', f'"{name}": 2'), "here")


@pytest.mark.parametrize(
    "more",
    [
        {"schema": "2"},
        {"schema": 2.5},
        {"key_format": "2"},
        {"energy_wh": 1.0, "status": "cancelled"},
        {"energy_wh": 1.0, "metrics": 3},
        {"energy_wh": 1.0, "spec": None},
    ],
)
def test_one_thing_that_is_not_of_this_schema_tells_a_newer_record_whatever_else_is_wrong(more, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text := json.dumps(unsealed(a_record()) | more))
    with pytest.raises(NewerRecordError):
        read_record(path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"] and path.read_text() == text


@pytest.mark.parametrize("name", ["schema", "key_format"])
@pytest.mark.parametrize("version", [0, -1, "1", "one", True, False, None, 1.0, [2], float("inf")])
def test_a_version_that_no_ddbench_has_or_will_have_is_damage(name, version, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(unsealed(a_record()) | {name: version}))
    with pytest.warns(StoreWarning, match="not a record of schema 1"):
        assert read_record(path) is None
    assert [file.name for file in tmp_path.iterdir()] == ["x.json.corrupt"]


@pytest.mark.parametrize("spec", [{}, None, [], "x", {"kind": "evaluation"}, {"kind": "evaluation", "whole": False}])
def test_an_evaluation_without_its_document_is_told_and_set_aside_unless_only_looked_at(tmp_path, fresh_home, spec):
    path = tmp_path / "eval" / "x.json"
    path.parent.mkdir()
    path.write_text(json.dumps(unsealed(pair("dm")[1]) | {"spec": spec}))
    with pytest.warns(StoreWarning, match="counts as missing"):
        assert list(Store(tmp_path).records()) == []
    assert path.exists()
    with pytest.warns(StoreWarning, match="counts as missing"):
        assert read_record(path) is None
    assert [file.name for file in path.parent.iterdir()] == ["x.json.corrupt"]


def test_records_survive_the_round_trip():
    record = a_record(metrics={"top1": 50.0, "per_class": [None, 1.0]}, warnings=["w"])
    assert Record.from_json(record.to_json(), "here") == record


def test_a_byte_order_mark_before_a_record_is_no_damage():
    record = a_record()
    text = "\ufeff" + record.to_json()
    assert Record.from_json(text, "here") == Record.from_json(text.encode(), "here") == record
    with pytest.raises(NewerRecordError):
        Record.from_json(text.replace('"schema": 1', '"schema": 2'), "here")


@pytest.mark.parametrize("of", [partial(torch.optim.SGD, momentum=0.9), torch.optim.Adam, torch.optim.RMSprop])
def test_an_optimisers_state_goes_on_where_it_stopped(tmp_path, of):
    def step(optimiser, weight):
        optimiser.zero_grad()
        (weight**2).sum().backward()
        optimiser.step()

    def made(value):
        weight = torch.nn.Parameter(value.clone())
        return weight, of([weight], lr=0.1)

    weight, optimiser = made(torch.ones(3))
    step(optimiser, weight)
    save_state(tmp_path / "s", {"weight": weight, "optimiser": optimiser.state_dict()})
    again = load_state(tmp_path / "s")
    resumed, another = made(again["weight"])
    another.load_state_dict(again["optimiser"])
    for _ in range(2):
        step(optimiser, weight)
        step(another, resumed)
    assert torch.equal(weight, resumed)


@pytest.mark.parametrize("key", [1.5, True, None, (1, 2)])
def test_a_state_with_keys_that_would_not_come_back_is_refused(tmp_path, key):
    with pytest.raises(TypeError, match="has the key"):
        save_state(tmp_path / "s", {"a": {key: 1}})


def test_states_survive_the_round_trip(tmp_path):
    state = {"a": [torch.arange(3), None, {"b": 1.5, "c": "x", "d": True}], "e": torch.zeros(0), "f": {}}
    save_state(tmp_path / "s", state)
    again = load_state(tmp_path / "s")
    assert torch.equal(again["a"][0], state["a"][0])
    assert again["a"][1:] == state["a"][1:]
    assert again["e"].shape == (0,)
    assert again["f"] == {}


def test_a_state_that_cannot_be_stored_says_where(tmp_path):
    with pytest.raises(TypeError, match=r"state\.a\.0 is of type set"):
        save_state(tmp_path / "s", {"a": [{1}]})


def test_shared_storage_is_stored_twice_rather_than_not_at_all(tmp_path):
    tensor = torch.arange(4.0)
    save_state(tmp_path / "s", {"a": tensor, "view": tensor[:2]})
    assert load_state(tmp_path / "s")["view"].tolist() == [0.0, 1.0]


def test_a_folder_that_is_listed_and_cannot_be_opened_yet_holds_nothing(tmp_path, monkeypatch):
    for name in ("here/condense.json", "here/eval/1.json", "late/condense.json", "late/eval/2.json", "eval.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    scandir, error = os.scandir, FileNotFoundError(errno.ENOENT, "late")

    def late(path):
        if str(path).endswith("late"):
            raise error
        return scandir(path)

    assert below(tmp_path, "condense.json") == [tmp_path / "here/condense.json", tmp_path / "late/condense.json"]
    monkeypatch.setattr(os, "scandir", late)
    assert below(tmp_path, "condense.json") == [tmp_path / "here/condense.json"]
    assert below(tmp_path, "eval/*.json") == [tmp_path / "here/eval/1.json"]
    assert below(tmp_path / "nowhere", "*") == []
    error = OSError(errno.EIO, "broken")
    with pytest.raises(OSError, match="broken"):
        below(tmp_path, "condense.json")


def test_an_artifact_that_another_machine_built_and_this_one_cannot_see_is_that_one(fresh_home, monkeypatch):
    for content in (b"first", b"again"):
        folder = artifacts.partial_folder("features", "k" * 64)
        folder.mkdir(parents=True)
        (folder / "x.bin").write_bytes(content)
        final = artifacts.publish("features", "k" * 64, {"spec": {}, "cost": {"seconds": 1.0}})
        monkeypatch.setattr(
            Path, "is_dir", lambda self, final=final, is_dir=Path.is_dir: self != final and is_dir(self)
        )
    assert (final / "x.bin").read_bytes() == b"first"
    assert not folder.exists()


def test_an_artifact_with_a_damaged_file_is_built_again(fresh_home):
    folder = artifacts.partial_folder("features", "k" * 64)
    folder.mkdir(parents=True)
    (folder / "x.bin").write_bytes(b"content")
    final = artifacts.publish("features", "k" * 64, {"spec": {}, "cost": {"seconds": 1.0}})
    assert artifacts.verify("features", "k" * 64) == final
    (final / "x.bin").write_bytes(b"CONTENT")  # the same size: only the hash can tell
    with pytest.warns(StoreWarning, match="was changed"), pytest.raises(CorruptFileError):
        artifacts.verify("features", "k" * 64)
    assert artifacts.manifest("features", "k" * 64) is None


@pytest.mark.parametrize("damage", ["manifest", "file", "short"])
def test_an_incomplete_artifact_counts_as_missing(fresh_home, damage):
    folder = artifacts.partial_folder("features", "k" * 64)
    folder.mkdir(parents=True)
    (folder / "x.bin").write_bytes(b"content")
    final = artifacts.publish("features", "k" * 64, {"spec": {}, "cost": {"seconds": 1.0}})
    if damage == "manifest":
        (final / artifacts.MANIFEST).write_text("{")
    elif damage == "file":
        (final / "x.bin").unlink()
    else:
        (final / "x.bin").write_bytes(b"")
    with pytest.warns(StoreWarning, match="built again"):
        assert artifacts.manifest("features", "k" * 64) is None


@pytest.mark.parametrize("depth", [1, 2])
def test_a_file_where_a_folder_should_be_is_told(tmp_path, depth):
    (tmp_path / "eval").write_text("")
    place = tmp_path / "eval" / "/".join("x" * depth)
    with pytest.raises(StoreError, match="a file stands where a folder should be"):
        atomic_write(place, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["eval"]
