"""Consoles: whatever characters they lack, and whatever becomes of their readers, tables come and results are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddbench.cli.console import ALIKE, ERRORS, replaced
from tests.e2e.runs import ddbench, once

CONSOLES = ("cp1252", "latin-1", "gbk", "shift_jis", "koi8-r", "ascii", "cp437")

FEW = once("random")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder with one row."""
    folder = tmp_path_factory.mktemp("results") / "runs"
    assert ddbench("run", *FEW, "--out", folder) == 0
    return folder


def shell(text: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "DDBENCH": f"{sys.executable} -m ddbench", **environment}
    return subprocess.run(["bash", "-c", text], capture_output=True, env=env, timeout=120)


@pytest.mark.parametrize("encoding", CONSOLES)
def test_characters_that_a_console_lacks_are_written_in_others(encoding):
    text = "≥ ± → † ¹ × … − · ½ σ ∪ ✓ Straße 漢 \udce9"
    written = text.encode(encoding, ERRORS).decode(encoding)
    for mine, theirs in zip(text.split(), written.split(), strict=True):
        assert theirs in (mine, replaced(mine))
        assert theirs


def test_replacements_are_ascii_and_marks_of_footnotes_stay_apart():
    assert all(text.isascii() and text for text in ALIKE.values())
    assert len({replaced(mark) for mark in "†‡*¹²"}) == 5
    assert replaced("52.0¹²") == "52.0^1^2"  # no number becomes another one
    assert replaced("−0.5 ± 0.1 ≥ ½σ") == "-0.5 +- 0.1 >= 1/2sigma"
    assert replaced("caf\udce9") == "caf\\xe9"
    assert replaced("漢") == "?"


@pytest.mark.parametrize("encoding", ["gbk", "koi8-r"])
def test_tables_are_printed_on_any_console(out, encoding):
    found = shell(f"$DDBENCH results show --out {out}", PYTHONIOENCODING=encoding)
    assert (found.returncode, found.stderr) == (0, b"")
    assert "random" in found.stdout.decode(encoding)


def test_json_loses_no_character(out):
    texts = [
        shell(f"$DDBENCH results show --format json --out {out}", PYTHONIOENCODING=encoding).stdout.decode(encoding)
        for encoding in ("utf-8", "cp1252")
    ]
    assert json.loads(texts[0]) == json.loads(texts[1])
    assert "→" in texts[0] and "\\u2192" in texts[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_below_stdout_is_one_line(out):
    found = shell(f"$DDBENCH results show --out {out} > /dev/full")
    assert found.returncode == 1
    (line,) = found.stderr.decode().splitlines()
    assert "the output cannot be written: No space left on device; what was computed is kept" in line


def test_a_reader_that_left_is_one_line_and_no_error():
    found = shell("set -o pipefail; $DDBENCH list methods | true")
    (line,) = found.stderr.decode().splitlines()
    assert (found.returncode, "cut short by its reader" in line) == (0, True)


def test_a_closed_stdout_is_one_line_and_no_file_takes_its_place(out, tmp_path):
    found = shell(f"$DDBENCH results export --all --to {tmp_path}/all.jsonl --out {out} >&-")
    assert found.returncode == 1
    assert len(found.stderr.decode().splitlines()) == 1
    assert all(json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines())


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_a_lost_stderr_costs_nothing(out, tmp_path, where):
    found = shell(f"$DDBENCH run {' '.join(FEW)} --out {tmp_path}/new {where}")
    assert found.returncode == 0
    assert "random" in found.stdout.decode()


def test_a_folder_whose_name_is_not_text_is_refused_with_its_bytes_shown(tmp_path):
    found = shell(f"$DDBENCH results show --out '{tmp_path}/caf'$'\\xe9'")
    assert found.returncode == 2
    (line,) = found.stderr.decode().splitlines()
    assert "caf\\xe9: the name is not UTF-8: rename" in line
