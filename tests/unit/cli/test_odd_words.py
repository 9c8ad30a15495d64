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


@pytest.mark.parametrize("digits", [400, 4200])
@pytest.mark.parametrize("option", ["--seeds", "--eval-seeds", "--ipc", "--jobs", "--device"])
def test_numbers_of_hundreds_of_digits_are_told_in_short(option, digits, capsys, fresh_home, tmp_path):
    sign = "-" if option == "--jobs" else ""
    more = () if option == "--ipc" else ("--ipc", 1)
    line = ("plan", "--datasets", "digits", "--methods", "dm", *more, f"{option}={sign}{'9' * digits}")
    code = invoke([*map(str, line), "--out", str(tmp_path / "runs")])
    told = capsys.readouterr().err
    assert code == 2 and len(told) < 400 and "defect" not in told


@pytest.mark.parametrize("name", ["", " "])
@pytest.mark.parametrize(
    "command",
    [("plan", "--methods", "dm", "--datasets", "digits", "--ipc", 1, "--out"), ("results", "show", "--out"),
     ("results", "export", "--to"), ("plot", "crossing", "--records"), ("leaderboard", "check")],
)  # fmt: skip
def test_no_name_is_no_place(command, name, capsys, fresh_home):
    assert invoke([*map(str, command), name]) == 2
    assert "is no name" in capsys.readouterr().err


def test_a_home_that_cannot_be_made_is_a_wrong_word(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    for place in ("/proc/ddbench", tmp_path / "file" / "home"):
        monkeypatch.setenv("DDBENCH_HOME", str(place))
        command = ("plan", "--methods", "dm", "--datasets", "digits", "--ipc", 1, "--out", tmp_path / "runs")
        assert invoke([*map(str, command)]) == 2
        assert "cannot" in capsys.readouterr().err
