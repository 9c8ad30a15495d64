"""Preparing once, finding again, and surviving damage."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import DataError, StoreError, UsageError
from ddbench.core.plugin.loader import load
from ddbench.core.store.files import StoreWarning
from ddbench.data.prepared import decode, sources
from ddbench.data.prepared import prepare as prepared
from ddbench.data.prepared.on_disk import find, open_folder
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import Source, parse_source
from ddbench.data.readers.raw import ImageStream, RawDataset
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")


def source(text: str) -> Source:
    return parse_source(text, files.known())


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of data sets in the order they were decoded."""
    calls: list[str] = []
    original = prepared.decode

    def spy(raw: RawDataset, parent: Path, *, name: str, **how: Any) -> prepared.Prepared:
        calls.append(name)
        return original(raw, parent, name=name, **how)

    monkeypatch.setattr(prepared, "decode", spy)
    return calls


# --- parsing


def test_user_names_must_not_be_registered_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'cifar10' is the name of a registered data set.*re-encoded"):
        source(f"cifar10=hf:{tmp_path}")


@pytest.mark.parametrize("name", ["Mine", "1a", "a b", "", "a/b", "../a"])
def test_malformed_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="must match"):
        source(f"{name}=folder:{tmp_path}")


def test_unknown_name_and_scheme_suggest_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown data set 'digit'; did you mean digits.*ddbench list datasets"):
        source("digit")
    with pytest.raises(UsageError, match="unknown data set scheme 'foldr'; did you mean folder"):
        source(f"mine=foldr:{tmp_path}")
    with pytest.raises(UsageError, match="NAME=SCHEME:PATH"):
        source("mine=somewhere")
    with pytest.raises(UsageError, match="give the data set a name"):
        source(f"folder:{tmp_path}")


@pytest.mark.parametrize("place", ["", "/no/such/place"])
def test_missing_path_is_a_data_error(place: str) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        source(f"mine=npz:{place}")


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_npz(tmp_path / "a.npz")
    monkeypatch.chdir(tmp_path)
    assert source("mine=npz:a.npz").path == tmp_path / "a.npz"


# --- once, then found


def test_decoded_copy_holds_the_sources_pixels_and_labels(tmp_path: Path) -> None:
    x, y = files.pixels(30, 8, 8, 3), files.cycle(30, 3)
    ready = resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz', x_train=x, y_train=y)}"))
    assert np.array_equal(ready.images, x.transpose(0, 3, 1, 2)) and np.array_equal(ready.labels, y)
    assert isinstance(ready.images, np.memmap) and ready.flip
    assert (ready.meta.shape, ready.meta.splits) == ((30, 3, 8, 8), {"train": 24, "val": 3, "test": 3})


def test_second_call_decodes_nothing(tmp_path: Path, decodes: list[str]) -> None:
    mine = source(f"mine=folder:{files.write_folder(tmp_path / 'images')}")
    assert resolve(mine) == resolve(mine) and resolve(source("digits")) == resolve(source("digits"))
    assert decodes == ["mine", "digits"]


def test_changed_file_is_decoded_again(tmp_path: Path, decodes: list[str]) -> None:
    mine = source(f"mine=folder:{files.write_folder(tmp_path / 'images')}")
    before = resolve(mine)
    (tmp_path / "images/cat/000.png").write_bytes(files.encoded(files.pixels(8, 8, 3, seed=77)))
    after = resolve(mine)
    assert after.revision != before.revision and decodes == ["mine", "mine"]
    assert find("mine", before.revision) == before, "old results keep their data"


def test_touched_file_gives_the_same_revision(tmp_path: Path) -> None:
    mine = source(f"mine=folder:{files.write_folder(tmp_path / 'images')}")
    before = resolve(mine)
    os.utime(tmp_path / "images/cat/000.png", (1, 1))
    assert resolve(mine) == before


def test_revision_ignores_path_name_and_row_groups(tmp_path: Path) -> None:
    images, labels = files.pixels(40, 8, 8), files.cycle(40, 2)
    revisions = set()
    for rows, place in ((7, "one"), (40, "two")):
        files.write_parquet(tmp_path / place / "train-0.parquet", images, labels, rows=rows)
        revisions.add(resolve(source(f"{place}=hf:{tmp_path / place}")).revision)
    npz = files.write_npz(tmp_path / "a.npz", x_train=images, y_train=labels)
    revisions.add(resolve(source(f"three=npz:{npz}")).revision)
    assert len(revisions) == 1


def test_one_pixel_one_label_or_one_name_changes_the_revision(tmp_path: Path) -> None:
    def revision(names: list[str], pixel: int = 0, label: int = 0) -> str:
        images, labels = files.pixels(40, 8, 8), files.cycle(40, 2)
        images[3, 4, 5], labels[6] = pixel, label
        folder = tmp_path / f"{names[0]}{pixel}{label}"
        files.write_parquet(folder / "train-0.parquet", images, labels, names=names)
        return resolve(source(f"mine=hf:{folder}")).revision

    variants = [
        revision(["a", "b"]),
        revision(["a", "b"], pixel=1),
        revision(["a", "b"], label=1),
        revision(["c", "b"]),
    ]
    assert len(set(variants)) == 4


def test_resolving_digits_again_needs_neither_torch_nor_sklearn(fresh_home: Path) -> None:
    resolve(source("digits"))
    code = (
        "import sys, time\n"
        "from tests.unit.data.data_files import known\n"
        "from ddbench.data.prepared.prepare import resolve\n"
        "from ddbench.data.prepared.sources import parse_source\n"
        "from ddbench.data.describe import describe\n"
        "from ddbench.core.specs import DataSpec\n"
        "start = time.perf_counter()\n"
        "source = parse_source('digits', known())\n"
        "ready = resolve(source)\n"
        "info = describe(ready, DataSpec(name='digits', revision=ready.revision))\n"
        "assert info.n_train == 1197 and time.perf_counter() - start < 0.3\n"
        "assert not {'torch', 'sklearn', 'scipy', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


# --- registered sets


def test_unprepared_registered_set_says_how_to_get_it() -> None:
    with pytest.raises(DataError) as caught:
        resolve(source("cifar10"))
    assert str(caught.value) == (
        "data set 'cifar10' is not prepared: run `ddbench data prepare cifar10` (downloads 170 MB) or "
        "`ddbench data prepare cifar10 --from DIR`, where DIR contains cifar-10-python.tar.gz"
    )
    with pytest.raises(DataError, match=r"where DIR contains (\S+, ){2}\S+ and t10k-labels-idx1-ubyte\.gz$"):
        resolve(source("mnist"))


ONE_FILE = """
from ddbench import DatasetRecord, hookimpl

@hookimpl
def ddbench_register_datasets(registry):
    registry.add(DatasetRecord("fromfile", "bringsdata:read", "for tests", files=("a.bin",)))
"""


def test_the_advice_for_a_set_of_a_one_file_plugin_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bringsdata.py"
    path.write_text(ONE_FILE)
    with pytest.raises(DataError) as caught:
        resolve(parse_source("fromfile", load([path]).datasets))
    assert f"run `ddbench data prepare fromfile --plugin {path} --from DIR`, where DIR contains" in str(caught.value)


def test_registered_set_prepared_from_a_folder_is_found(tmp_path: Path, decodes: list[str]) -> None:
    files.write_tar(tmp_path / "cifar-10-python.tar.gz", files.cifar10_members())
    made = prepare(source("cifar10"), files=tmp_path)
    assert resolve(source("cifar10")) == made and decodes == ["cifar10"]
    assert made.meta.splits == {"train": 90, "val": 10, "test": 20}


def change(file: Path) -> None:
    """Give a file of equal size another mtime, and another content."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(file, ns=(1, 1))


@pytest.mark.parametrize("named", [True, False], ids=["the files that it names", "the whole folder"])
def test_changed_files_of_a_registered_set_are_decoded_anew_with_a_word(
    tmp_path: Path, decodes: list[str], named: bool
) -> None:
    mine, place = registered(files=("a.bin",) if named else ()), tmp_path / "files"
    place.mkdir()
    (place / "a.bin").write_bytes(bytes(range(64)))
    before = prepare(mine, files=place)
    if named:
        (place / "unnamed.bin").write_bytes(b"")
    assert resolve(mine) == before and decodes == ["bytes"]
    change(place / "a.bin")
    with pytest.warns(StoreWarning, match=f"files of data set 'bytes' in {place} changed .*decoding them anew"):
        after = resolve(mine)
    assert after.revision != before.revision
    assert resolve(mine) == after and decodes == ["bytes", "bytes"]
    (place / "a.bin").unlink()
    assert resolve(mine) == after, "its files are gone: the copy stays"


def test_changed_files_that_cannot_be_read_are_an_error_and_no_reason_to_take_the_old_copy(tmp_path: Path) -> None:
    files.write_tar(tmp_path / "cifar-10-python.tar.gz", files.cifar10_members())
    prepare(source("cifar10"), files=tmp_path)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"half")
    with pytest.warns(StoreWarning, match="changed"), pytest.raises(DataError, match="damaged archive"):
        resolve(source("cifar10"))


def test_a_pointer_of_before_without_a_fingerprint_stays_valid(tmp_path: Path, decodes: list[str]) -> None:
    files.write_mnist(tmp_path)
    made = prepare(source("mnist"), files=tmp_path)
    pointer = made.folder.parent / "current.json"
    pointer.write_text(json.dumps(json.loads(pointer.read_bytes()) | {"fingerprint": None}))
    os.utime(next(tmp_path.glob("train-images*")), (1, 1))
    assert resolve(source("mnist")) == made and decodes == ["mnist"]


def test_another_reader_without_the_files_is_told_how_to_get_them_though_the_folder_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(64)))
    prepare(registered(), files=tmp_path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(DataError, match=r"was made by another reader: run .*--from DIR`, where DIR contains a\.bin$"):
        resolve(registered(version=2))


def read_bytes(folder: Path) -> RawDataset:
    """Forty images of two classes, whose first pixels are the bytes of a file."""
    images = files.pixels(40, 1, 8, 8)
    images[0, 0] = np.frombuffer((folder / "a.bin").read_bytes(), np.uint8).reshape(8, 8)
    return RawDataset(images, files.cycle(40, 2), ("a", "b"))


def registered(**facts: Any) -> Source:
    """The data set of :func:`read_bytes`, as a plugin registers it."""
    given = {"files": ("a.bin",), "summary": "bytes", "reader": f"{__name__}:read_bytes"} | facts
    return Source("bytes", record=DatasetRecord(name="bytes", **given))


def test_missing_files_name_set_and_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"data set 'cifar10' in {tmp_path}: .*neither cifar-10-python"):
        prepare(source("cifar10"), files=tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        prepare(source("cifar10"), files=tmp_path / "nowhere")


def test_files_of_another_number_of_channels_are_refused(tmp_path: Path) -> None:
    files.write_mnist(tmp_path)
    record = replace(files.known().get("mnist"), mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    with pytest.raises(DataError, match="has 3 channels, but the files hold 1"):
        prepare(Source("mnist", record=record), files=tmp_path)


def fail_to_download(folder: Path) -> None:
    raise OSError("Name or service not known")


def write_download(folder: Path) -> None:
    files.write_mnist(folder)


def test_failed_download_is_one_message_with_advice() -> None:
    record = replace(files.known().get("mnist"), download=f"{__name__}:fail_to_download")
    with pytest.raises(DataError, match=r"download of 'mnist' failed \(OSError: Name.*--from DIR"):
        prepare(Source("mnist", record=record), allow_download=True)


def leave(folder: Path) -> Any:
    raise SystemExit(7)


def leave_while_decoding(folder: Path) -> RawDataset:
    stream = ImageStream((40, 1, 8, 8), lambda: leave(folder))
    return RawDataset(stream, files.cycle(40, 2), ("a", "b"))


@pytest.mark.parametrize("reader", ["leave", "leave_while_decoding"])
def test_a_reader_that_exits_is_an_error_of_its_data_set(tmp_path: Path, reader: str) -> None:
    with pytest.raises(DataError, match=r"^data set 'bytes' in .*: SystemExit: 7$"):
        prepare(registered(reader=f"{__name__}:{reader}"), files=tmp_path)


def test_a_download_that_exits_has_failed() -> None:
    with pytest.raises(DataError, match=r"download of 'bytes' failed \(SystemExit: 7\)"):
        prepare(registered(download=f"{__name__}:leave"), allow_download=True)


def interrupt(folder: Path) -> Any:
    raise KeyboardInterrupt


def test_a_reader_can_be_interrupted(tmp_path: Path) -> None:
    for facts in ({"reader": f"{__name__}:interrupt"}, {"download": f"{__name__}:interrupt"}):
        with pytest.raises(KeyboardInterrupt):
            prepare(registered(**facts), files=None if "download" in facts else tmp_path, allow_download=True)


def test_download_happens_only_when_the_environment_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Source("mnist", record=replace(files.known().get("mnist"), download=f"{__name__}:write_download"))
    with pytest.raises(DataError, match="not prepared"):
        resolve(mine)
    monkeypatch.setenv("DDBENCH_DOWNLOAD", "1")
    assert resolve(mine).meta.parts == {"train": 40, "test": 20}


def test_constants_are_those_of_the_record_and_the_prepared_copy_stays_as_it_is(
    tmp_path: Path, decodes: list[str]
) -> None:
    files.write_mnist(tmp_path)
    made = prepare(source("mnist"), files=tmp_path)
    written = (made.folder / "meta.json").read_bytes()
    record = replace(files.known().get("mnist"), mean=(0.5,), std=(0.25,), flip=True)
    ready = resolve(Source("mnist", record=record))
    assert (ready.constants, ready.flip) == (((0.5,), (0.25,)), True)
    assert find("mnist", made.revision, files.known()).constants == made.constants == ((0.1307,), (0.3081,))
    assert (made.folder / "meta.json").read_bytes() == written and decodes == ["mnist"]


def test_meta_of_older_versions_is_read_and_what_it_says_of_constants_does_not_count(decodes: list[str]) -> None:
    made = resolve(source("digits"))
    path = made.folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"mean": [0.9], "std": [0.8], "flip": True}))
    again = resolve(source("digits"))
    assert again == made and decodes == ["digits"]
    assert (again.constants, again.flip) == ((made.meta.train_mean, made.meta.train_std), False)


# --- damage


def break_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("{")


def drop_meta(folder: Path) -> None:
    (folder / "meta.json").unlink()


def truncate_images(folder: Path) -> None:
    os.truncate(folder / "images.npy", (folder / "images.npy").stat().st_size - 1)


def empty_labels(folder: Path) -> None:
    (folder / "labels.npy").write_bytes(b"")


def scribble_header(folder: Path) -> None:
    with (folder / "train.npy").open("r+b") as file:
        file.write(b"garbage!")


def lose_split(folder: Path) -> None:
    (folder / "val.npy").unlink()


DAMAGES = [break_meta, drop_meta, truncate_images, empty_labels, scribble_header, lose_split]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_copy_is_decoded_again_from_its_source(tmp_path: Path, decodes: list[str], damage: Any) -> None:
    mine = source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz')}")
    before = resolve(mine)
    pixels = np.array(before.images)
    damage(before.folder)
    after = resolve(mine)
    assert after == before and decodes == ["mine", "mine"]
    assert np.array_equal(open_folder(after.folder).images, pixels)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_registered_copy_without_files_names_folder_and_command(tmp_path: Path, damage: Any) -> None:
    files.write_mnist(tmp_path / "files")
    made = prepare(source("mnist"), files=tmp_path / "files")
    damage(made.folder)
    (tmp_path / "files").rename(tmp_path / "gone")
    with pytest.raises(DataError, match=rf"{made.folder} is damaged: run `ddbench data prepare mnist`"):
        resolve(source("mnist"))
    with pytest.raises(DataError, match="is damaged"):
        find("mnist", made.revision)


def test_damaged_registered_copy_is_decoded_again_when_its_files_are_at_hand(tmp_path: Path) -> None:
    files.write_mnist(tmp_path)
    made = prepare(source("mnist"), files=tmp_path)
    truncate_images(made.folder)
    assert resolve(source("mnist")) == made


def test_preparing_again_heals_silent_damage(tmp_path: Path) -> None:
    mine = source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz')}")
    before = resolve(mine)
    pixels = np.array(before.images)
    with (before.folder / "images.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([255 - int(pixels.flat[-1])]))
    assert np.array_equal(prepare(mine).images, pixels)


def test_unreadable_pointer_counts_as_none(tmp_path: Path, decodes: list[str]) -> None:
    made = resolve(source("digits"))
    (made.folder.parent / "current.json").write_text("[]")
    assert resolve(source("digits")) == made and decodes == ["digits", "digits"]


def test_key_of_a_data_set_that_is_gone_names_the_folder() -> None:
    with pytest.raises(DataError, match="'mine' revision 0123456789abcdef is not prepared"):
        find("mine", "0123456789abcdef")


def test_killed_decode_leaves_nothing_that_counts_and_is_swept_up(tmp_path: Path, fresh_home: Path) -> None:
    path = files.write_npz(tmp_path / "a.npz")
    code = (
        "import os, numpy as np\n"
        "from tests.unit.data.data_files import known\n"
        "from ddbench.data.prepared import decode; from ddbench.data.prepared import prepare as prepared\n"
        "from ddbench.data.prepared.sources import parse_source\n"
        "decode._write_arrays = lambda *args: os._exit(9)\n"
        f"prepared.resolve(parse_source('mine=npz:{path}', known()))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 9
    home = fresh_home / "data/mine"
    assert [p.name for p in home.iterdir() if p.is_dir()] != [], "the kill came while writing"
    made = resolve(source(f"mine=npz:{path}"))
    assert [p for p in home.iterdir() if p.is_dir()] == [made.folder]


class BrokenStreamError(Exception):
    """What a reader of a plugin might raise."""


def test_failing_stream_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Any:
        yield files.pixels(15, 1, 8, 8)
        raise BrokenStreamError("half way")

    raw = RawDataset(ImageStream((30, 1, 8, 8), chunks), files.cycle(30, 3), ("a", "b", "c"))
    with pytest.raises(DataError, match="half way"):
        decode.decode(raw, tmp_path, name="mine")
    assert list(tmp_path.iterdir()) == []


def test_stream_that_breaks_its_promise_is_refused(tmp_path: Path) -> None:
    raw = RawDataset(
        ImageStream((30, 1, 8, 8), lambda: iter([files.pixels(29, 1, 8, 8)])), files.cycle(30, 3), ("a", "b", "c")
    )
    with pytest.raises(DataError, match="29 images were read where 30 were promised"):
        decode.decode(raw, tmp_path, name="mine")


def test_full_disk_is_a_store_error_and_leaves_nothing(
    tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, raw: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(decode, "_write_images", full)
    with pytest.raises(StoreError, match="no space left"):
        resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz')}"))
    assert [p for p in (fresh_home / "data/mine").iterdir() if p.name != ".lock"] == []


def test_fingerprint_sees_every_file_of_a_tree(tmp_path: Path) -> None:
    mine = source(f"mine=folder:{files.write_folder(tmp_path / 'images')}")
    before = sources.fingerprint(mine, tmp_path / "images")
    (tmp_path / "images/dog/deep").mkdir()
    assert sources.fingerprint(mine, tmp_path / "images") == before
    (tmp_path / "images/dog/deep/new.png").write_bytes(b"")
    assert sources.fingerprint(mine, tmp_path / "images") != before


def test_meta_is_plain_json_for_people(tmp_path: Path) -> None:
    made = resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz')}"))
    content = json.loads((made.folder / "meta.json").read_text())
    assert content["name"] == "mine" and content["splits"] == {"train": 24, "val": 3, "test": 3}


def test_one_decoder_at_a_time_waits_for_the_other(tmp_path: Path, fresh_home: Path, decodes: list[str]) -> None:
    mine = source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz')}")
    (fresh_home / "data/mine").mkdir(parents=True)
    waiter = threading.Thread(target=resolve, args=(mine,))
    with FileLock(fresh_home / "data/mine/.lock"):
        waiter.start()
        waiter.join(0.3)
        assert waiter.is_alive() and decodes == []
    waiter.join(60)
    assert not waiter.is_alive() and decodes == ["mine"]


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock here")])
def test_a_file_system_without_locks_is_decoded_into_all_the_same(
    tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", no_locks)
    leftover = fresh_home / f"data/mine/{decode.PARTIAL}of-another"
    leftover.mkdir(parents=True)
    assert len(resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz')}")).images)
    assert leftover.exists(), "it may be another's, who is at work"
