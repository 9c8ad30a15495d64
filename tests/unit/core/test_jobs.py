"""Handles and reports of jobs: what is half written is read later, what is no handle is passed over."""

from __future__ import annotations

import json
from pathlib import Path

from ddbench.core.store import jobs

HANDLE = jobs.Handle(name="0123456789ab", executor="slurm", engine_id="7_1", nodes={"k": 3.0, "m": None}, submitted=5.0)


def test_handles_are_read_as_written(tmp_path: Path) -> None:
    other = HANDLE.model_copy(update={"name": "ba9876543210", "submitted": 2.0})
    for one in (HANDLE, other):
        jobs.write(tmp_path, one)
    assert jobs.handles(tmp_path) == [other, HANDLE]
    (jobs.folder(tmp_path) / "aaaaaaaaaaaa.json").write_text("{")
    (jobs.folder(tmp_path) / "notes.json").write_text("{}")
    (jobs.folder(tmp_path) / "bbbbbbbbbbbb.json").write_bytes(b"\xff")
    assert jobs.handles(tmp_path) == [other, HANDLE]
    jobs.remove(tmp_path, HANDLE.name)
    assert jobs.handles(tmp_path) == [other]
    assert jobs.handles(tmp_path / "nowhere") == []


def test_reports_are_read_line_by_line(tmp_path: Path) -> None:
    written, read = jobs.report(tmp_path, HANDLE.name), jobs.report(tmp_path, HANDLE.name)
    assert [*read.news()] == []
    written.add({"key": "k", "begun": 1.0})
    assert [*read.news()] == [{"key": "k", "begun": 1.0}]
    with written.path.open("ab") as file:
        file.write(b'{"key": "k", "outc')  # the job is killed here
    assert [*read.news()] == []
    written.add({"key": "m", "begun": 2.0})
    assert [*read.news()] == [{"key": "m", "begun": 2.0}], "what was cut short is passed over"
    assert [*jobs.report(tmp_path, HANDLE.name).news()] == [{"key": "k", "begun": 1.0}, {"key": "m", "begun": 2.0}]
    assert json.loads(written.path.read_bytes().splitlines()[0]) == {"key": "k", "begun": 1.0}


def test_cancelled(tmp_path: Path) -> None:
    assert not jobs.is_cancelled(tmp_path, HANDLE.name)
    jobs.cancel(tmp_path, HANDLE.name)
    assert jobs.is_cancelled(tmp_path, HANDLE.name)
    jobs.remove(tmp_path, HANDLE.name)
    assert not jobs.is_cancelled(tmp_path, HANDLE.name)


def test_a_folder_has_one_mark_whatever_it_is_called(tmp_path: Path) -> None:
    """A name of its path would be another one where a machine mounts the folder elsewhere."""
    assert jobs.mark(tmp_path) == "none"
    first = jobs.mark(tmp_path, make=True)
    assert len(first) == 8
    (tmp_path / "link").symlink_to(tmp_path)
    assert jobs.mark(tmp_path / "link", make=True) == jobs.mark(tmp_path) == first
    assert jobs.handles(tmp_path) == []


def test_a_handle_that_another_run_removed_is_not_known(tmp_path: Path) -> None:
    jobs.write(tmp_path, HANDLE)
    assert jobs.is_known(tmp_path, HANDLE.name)
    jobs.remove(tmp_path, HANDLE.name)
    assert not jobs.is_known(tmp_path, HANDLE.name)


def test_a_number_of_another_machine_or_container_says_nothing_about_its_run() -> None:
    gone = HANDLE.model_copy(update=jobs.submitter() | {"pid": 2**22 + 1})
    assert jobs.submitter_ended(HANDLE.model_copy(update=jobs.submitter())) is False
    assert jobs.submitter_ended(gone) is True
    assert jobs.submitter_ended(gone.model_copy(update={"pid_namespace": ""})) is True, "of before"
    assert jobs.submitter_ended(gone.model_copy(update={"pid_namespace": "pid:[1]"})) is None
    assert jobs.submitter_ended(gone.model_copy(update={"host": "elsewhere"})) is None
