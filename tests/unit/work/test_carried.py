"""Files that cross to machines which share no folder, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddbench.core.errors import CorruptFileError, StoreError
from ddbench.core.store import artifacts
from ddbench.core.store.folder import CHECKPOINT, CONDENSE, SET, Store, evaluation_path
from ddbench.data.prepared.on_disk import data_root
from ddbench.work.executors import carried, ray_job
from ddbench.work.executors.ray_job import run_ray_job, sent
from tests.factories import pair


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """A machine with a temporary folder of its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def names(document, store):
    return {one.name: one.fixed for one in carried.given(document, store, [])}


def test_a_student_gets_its_set_its_data_and_what_it_left_and_nothing_else(tmp_path, home):
    document = next(record.document for record in pair() if record.kind == "evaluation")
    store = Store(tmp_path / "out")
    folder, data = store.folder(document.set), document.cell.data
    own = evaluation_path(folder, document.key).with_suffix(f".{CHECKPOINT}")
    read = [folder / SET, folder / CONDENSE, own, data_root(data.name) / data.revision / "images.npy"]
    for path in read:
        put(path)
    for path in (
        folder / "eval/other.json",
        folder / ".a.tmp",
        home / "data/other/1/images.npy",
        folder / "final.safetensors",
    ):
        put(path)
    assert names(document, store) == {carried.name_of(path, store.out): path.is_relative_to(home) for path in read}


def test_a_cell_gets_its_artifacts_and_what_it_left(tmp_path, home):
    cell = next(record.document for record in pair() if record.kind == "condense")
    document = cell.model_copy(update={"artifacts": {"experts": ("experts", "a" * 64)}})
    store = Store(tmp_path / "out")
    folder = store.folder(document)
    put(artifacts.folder_of("experts", "a" * 64) / "expert_000.safetensors")
    put(artifacts.folder_of("experts", "b" * 64) / "expert_000.safetensors")
    put(folder / CHECKPOINT)
    put(folder / "snapshots/0000001.safetensors")
    put(evaluation_path(folder, "c" * 64))
    found = names(document, store)
    assert sorted(Path(name).name for name in found) == ["0000001.safetensors", CHECKPOINT, "expert_000.safetensors"]
    assert [name for name, fixed in found.items() if fixed] == [
        f"home/artifacts/experts/{'a' * 16}/expert_000.safetensors"
    ]


def test_records_come_last_and_what_a_machine_has_for_itself_stays(tmp_path):
    out, home = tmp_path / "out", tmp_path / "home"
    for name in ("out/d/m/k/condense.json", "out/d/m/k/condensed.safetensors", "out/.claims/k.0", "out/.a.json.1.tmp",
                 "home/artifacts/x/k/artifact.json", "home/artifacts/x/k/z.safetensors", "home/compiled/lib.so",
                 "out/data/m/k/eval/e.json", "out/data/m/k/eval/e.safetensors"):  # fmt: skip
        put(tmp_path / name)
    (out / "d/m/k/link").symlink_to(out / "d")
    found = [name for name, _ in carried.found({"out": out, "home": home})]
    assert sorted(found[:3]) == [
        "home/artifacts/x/k/z.safetensors", "out/d/m/k/condensed.safetensors", "out/data/m/k/eval/e.safetensors"
    ]  # fmt: skip
    assert sorted(found[3:]) == [
        "home/artifacts/x/k/artifact.json", "out/d/m/k/condense.json", "out/data/m/k/eval/e.json"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["out/../x", "etc/passwd", "out//etc/passwd", "out/", "plugins/0/x.py"])
def test_no_name_leads_out_of_the_folders_of_a_run(tmp_path, home, name):
    with pytest.raises(CorruptFileError):
        carried.path_of(name, tmp_path / "out")


def test_what_arrives_damaged_is_not_there(tmp_path):
    path = put(tmp_path / "a")
    digest = sent("out/a", path).sha256
    carried.write(tmp_path / "b", carried.pieces(path), digest)
    assert (tmp_path / "b").read_bytes() == b"x"
    with pytest.raises(CorruptFileError, match="arrived damaged"):
        carried.write(tmp_path / "c", [b"y"], digest)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]


def test_a_node_works_in_a_folder_of_its_own_and_only_news_comes_back(tmp_path, apart, monkeypatch):
    given = {"out/k/read": b"set", "out/k/checkpoint": b"half", "home/data/d/images.npy": b"pixels"}
    files = [
        sent(name, put(tmp_path / "driver" / name, content), fixed="data" in name).crossing
        for name, content in given.items()
    ]
    seen = []

    def node(text, place, *, keep, tell):
        job = json.loads(text)
        out, home = Path(job["out"]), Path(job["home"])
        seen.append(((out / "k/read").read_bytes(), (home / "data/d/images.npy").read_bytes(), place))
        (out / "k/checkpoint").unlink()
        put(out / "k/condense.json", b"{}")
        put(home / "artifacts/x/k/artifact.json", b"{}")
        put(out / ".claims/k.0")
        return '{"outcomes": {}}'

    monkeypatch.setattr(ray_job, "run_job", node)
    said, left, gone = run_ray_job("abc", '{"plugins": []}', files)
    assert seen == [(b"set", b"pixels", "ray task abc")] and said == '{"outcomes": {}}'
    assert sorted(file[0] for file in left) == ["home/artifacts/x/k/artifact.json", "out/k/condense.json"]
    assert gone == ["out/k/checkpoint"]
    assert not [*(apart / next(apart.iterdir()) / "tasks").iterdir()]
    without = [(*file[:4], []) if file[3] else file for file in files]
    run_ray_job("abd", '{"plugins": []}', without)  # data are there by now
    assert seen[1] == (b"set", b"pixels", "ray task abd")


def test_another_try_on_the_machine_goes_on_with_what_the_first_one_left(tmp_path, apart, monkeypatch):
    files = [sent("out/k/checkpoint", put(tmp_path / "checkpoint", b"old")).crossing]

    def killed(text, place, **how):
        put(Path(json.loads(text)["out"]) / "k/checkpoint", b"new")
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_job, "run_job", killed)
    with pytest.raises(KeyboardInterrupt):
        run_ray_job("abc", '{"plugins": []}', files)
    monkeypatch.setattr(ray_job, "run_job", lambda text, place, **how: '{"outcomes": {}}')
    _, left, _ = run_ray_job("abc", '{"plugins": []}', files)
    assert [(file[0], file[4]) for file in left] == [("out/k/checkpoint", [b"new"])]


def test_an_error_that_ends_a_run_crosses_as_text(monkeypatch):
    def full(text, place, **how):
        raise StoreError("no space left")

    monkeypatch.setattr(ray_job, "run_job", full)
    said, left, gone = run_ray_job("abc", "{}")
    assert json.loads(said) == {"error": {"kind": "StoreError", "text": "no space left"}} and not (left or gone)
