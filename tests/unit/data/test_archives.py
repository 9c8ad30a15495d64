"""Hostile archives are refused by name, and leave nothing behind."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from ddbench.core.errors import DataError
from ddbench.data.readers.archives import unpack, unpacked
from tests.unit.data import data_files as files

BENIGN = ("good/file.txt", b"fine")


def hostile_tar(path: Path, member: tarfile.TarInfo, mode: str) -> Path:
    """A benign member, then ``member``."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo(BENIGN[0])
        info.size = len(BENIGN[1])
        tar.addfile(info, io.BytesIO(BENIGN[1]))
        tar.addfile(member, io.BytesIO(b"\0" * member.size))
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def assert_refused(archive: Path, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "deep/target")
    assert repr(name) in str(caught.value)
    (tmp_path / "deep").rmdir()  # only the parent of the target was made, and it is empty
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize(
    "member",
    [
        tar_member("/tmp/evil"),
        tar_member("../evil"),
        tar_member("good/../../evil"),
        tar_member("..\\evil"),
        tar_member("link", tarfile.SYMTYPE, "../outside"),
        tar_member("link", tarfile.SYMTYPE, "/etc/passwd"),
        tar_member("hard", tarfile.LNKTYPE, "../outside"),
        tar_member("device", tarfile.CHRTYPE),
        tar_member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda m: f"{m.name}-{m.linkname}",
)
def test_hostile_tar_member_is_refused_and_nothing_is_left(tmp_path: Path, member: tarfile.TarInfo, mode: str) -> None:
    assert_refused(hostile_tar(tmp_path / "a.tar", member, mode), tmp_path, member.name)


@pytest.mark.parametrize("name", ["/tmp/evil", "../evil", "good/../../evil", "C:/evil"])
def test_hostile_zip_member_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(*BENIGN)
        archive.writestr(name, b"evil")
    assert_refused(tmp_path / "a.zip", tmp_path, name)


def test_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(*BENIGN)
        archive.writestr(info, "/etc/passwd")
    assert_refused(tmp_path / "a.zip", tmp_path, "link")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_truncated_archive_is_called_damaged_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("big", files.pixels(100_000).tobytes())
    else:
        files.write_tar(path, [("big", files.pixels(100_000).tobytes())], f"w:{name[-2:]}")
    path.write_bytes(path.read_bytes()[:50_000])
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(DataError, match="damaged archive"):
        unpack(path, target)
    assert list(target.iterdir()) == []


def test_sound_archive_is_unpacked_and_cleaned_up(tmp_path: Path) -> None:
    with unpacked(files.write_tar(tmp_path / "a.tar.gz", [BENIGN])) as target:
        assert (Path(target) / BENIGN[0]).read_bytes() == BENIGN[1]
    assert not Path(target).exists()
