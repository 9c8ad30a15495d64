"""Where in a plugin's own code an exception came from, and that no place holds a path."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from ddbench.core.errors import PluginError
from ddbench.core.plugin.loader import import_target, installed
from ddbench.core.plugin.places import know, place_of, placed

MODULE = """
import torch

def deep():
    raise ValueError("boom")

def through_torch():
    return torch.no_grad()(deep)()

def in_torch():
    torch.ones(2) @ torch.ones(3)

def made_of_text():
    exec("raise ValueError('boom')", globals())

def caused():
    try:
        deep()
    except ValueError as error:
        other(error)

def other(error):
    raise KeyError("x") from error
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "placed_lab" / "sub").mkdir(parents=True)
    (folder / "placed_lab" / "__init__.py").write_text("def fails():\n    1 / 0\n")
    (folder / "placed_lab" / "sub" / "__init__.py").touch()
    (folder / "placed_lab" / "sub" / "deep.py").write_text(MODULE)
    (folder / "placed_lab" / "broken.py").write_text("\n\n1 / 0\n")
    (folder / "placed_tools.py").write_text("def fails():\n    1 / 0\n\ndef calls(function):\n    function()\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    know(["placed_lab.plugin:hooks"])
    yield folder
    sys.path.remove(str(folder))


def caught(function, *arguments):
    with pytest.raises(Exception) as error:
        function(*arguments)
    return error.value


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("deep", "placed_lab/sub/deep.py:5"),
        ("through_torch", "placed_lab/sub/deep.py:5"),
        ("in_torch", "placed_lab/sub/deep.py:11"),
        ("made_of_text", "placed_lab/sub/deep.py:14"),
        ("caused", "placed_lab/sub/deep.py:23"),
    ],
)
def test_it_is_the_last_frame_in_a_file_of_the_plugin(package, name, place):
    deep = importlib.import_module("placed_lab.sub.deep")
    error = caught(getattr(deep, name))
    assert place_of(error) == place
    assert placed("said", error) == f"said ({place})"
    assert placed(f"said ({place})", error) == f"said ({place})", "once is enough"


def test_a_package_is_named_by_its_init_file(package):
    assert place_of(caught(importlib.import_module("placed_lab").fails)) == "placed_lab/__init__.py:2"


def test_code_of_nobodys_plugin_has_no_place(package):
    tools = importlib.import_module("placed_tools")
    assert place_of(caught(tools.fails)) is None
    assert placed("said", caught(tools.fails)) == "said"
    assert place_of(ValueError("never raised")) is None
    fails = importlib.import_module("placed_lab").fails
    assert place_of(caught(tools.calls, fails)) == "placed_lab/__init__.py:2"
    know(["torch.nn:Linear"])
    assert place_of(caught(tools.calls, importlib.import_module("torch").ones(2).view)) is None


def test_where_ddbench_reports_an_exception_its_cause_counts(package):
    error = caught(import_target, "placed_lab.broken:Gone")
    assert isinstance(error, PluginError)
    assert "ZeroDivisionError: division by zero (placed_lab/broken.py:3)" in str(error)
    assert placed(str(error), error) == str(error)


def test_causes_that_go_in_a_circle_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert place_of(one) is None


def test_an_exception_that_cannot_be_looked_at_has_no_place():
    class HostileError(Exception):
        @property
        def __traceback__(self):
            raise ZeroDivisionError

    assert placed("said", HostileError()) == "said"


def test_ddbenchs_own_methods_are_named_within_their_package():
    info = installed().methods.get("dm")
    method = import_target(info.target)(import_target(info.params)(iterations=1))
    assert re.fullmatch(r"dm/method\.py:\d+", place_of(caught(method.step, None)))
