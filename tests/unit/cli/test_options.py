"""Options that hold several values."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbench.cli.options import DataSets


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a,b", ["a", "b"]),
        ("my=folder:{}/Smith, 2024", ["my=folder:{}/Smith, 2024"]),
        ("my=folder:{}/Smith, 2024,mnist", ["my=folder:{}/Smith, 2024", "mnist"]),
        ("mnist,my=folder:{}/a,b,c , x=npz:{}/d,e.npz", ["mnist", "my=folder:{}/a,b,c", "x=npz:{}/d,e.npz"]),
        ("my=folder:{}/none,b", ["my=folder:{}/none", "b"]),
        ("my=folder:{}/Doe, 2023,mnist", ["my=folder:{}/Doe, 2023", "mnist"]),
        ("my=folder:{}/x, y z/set,b=npz:{}/d,e.npz", ["my=folder:{}/x, y z/set", "b=npz:{}/d,e.npz"]),
    ],
)
def test_a_comma_within_a_path_that_exists_does_not_separate(tmp_path: Path, typed: str, meant: list[str]) -> None:
    for name in ("Smith, 2024", "a,b,c", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "d,e.npz").touch()
    found = DataSets().convert(typed.replace("{}", str(tmp_path)), None, None)
    assert found == [one.replace("{}", str(tmp_path)) for one in meant]
