"""Whether a target is there is told without importing its module."""

from __future__ import annotations

import sys

import pytest

from ddbench.core.plugin.targets import absent


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ("os.path:join", None),
        ("os.path:jion", "its module has no 'jion'"),
        ("nowhere_to_be_found:Class", "no module 'nowhere_to_be_found'"),
        ("nowhere_to_be_found.deep:Class", "no module 'nowhere_to_be_found.deep'"),
        ("", "no module ''"),
    ],
)
def test_what_is_missing_is_said(target, missing):
    assert absent(target) == missing


def test_the_module_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "heavy_module.py").write_text("raise SystemExit(9)")
    monkeypatch.syspath_prepend(tmp_path)
    assert absent("heavy_module:Class") is None
    assert "heavy_module" not in sys.modules


def test_a_package_that_breaks_is_left_to_those_who_import_it(tmp_path, monkeypatch):
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.syspath_prepend(tmp_path)
    assert absent("broken_package.module:Class") is None
