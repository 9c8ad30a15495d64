"""Names that no system can have end in one line and exit code 2, wherever they are typed."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from ddbench.cli import invoke

LONG, BYTES = "a" * 5000, "\udce9"  # what Python makes of a name in Latin-1


@pytest.mark.parametrize("word", [LONG, f"runs/{LONG}", BYTES], ids=["long", "long below", "bytes"])
@pytest.mark.parametrize(
    "line",
    [
        "data list --plugin WORD", "results show --out WORD", "results verify abcdef12 --out WORD",
        "plan --methods dm --ipc 1 --out WORD", "plugin new thing --to WORD/x/y", "leaderboard check WORD",
        "data prepare mine=folder:WORD", "import WORD --dataset digits",
    ],
)  # fmt: skip
def test_a_name_that_no_file_has_is_refused_in_a_line(tmp_path, fresh_home, monkeypatch, line, word):
    monkeypatch.chdir(tmp_path)
    arguments = [part.replace("WORD", word) for part in line.split()]
    if word == BYTES and "plugin new" in line:
        pytest.skip("such a folder can be made")
    with contextlib.redirect_stderr(io.StringIO()) as told:  # a console shows such bytes as it can
        assert invoke(arguments) == 2
    lines = [one for one in told.getvalue().splitlines() if "warning" not in one]
    assert len(lines) == 1 and "defect" not in lines[0]
    assert not any(Path(tmp_path).glob("a*"))
