"""What belongs to a one-file plugin: the modules beside it that it imports or names, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ddbench.core.plugin import one_file


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("text", "files", "modules"),
    [
        ("import part_a", {"part_a.py": ""}, {"part_a"}),
        ("def step():\n    from part_a import x", {"part_a.py": "x = 1"}, {"part_a"}),
        ("target = 'part_a:Class'", {"part_a.py": ""}, {"part_a"}),
        ("target = 'part_a.deep:Class'", {"part_a/__init__.py": "", "part_a/deep.py": ""}, {"part_a", "part_a.deep"}),
        ("import part_a", {"part_a.py": "import part_b", "part_b.py": ""}, {"part_a", "part_b"}),
        ("import part_a", {"part_a.py": "import plug_one", "part_b.py": ""}, {"part_a"}),
        (
            "import part_a",
            {"part_a/__init__.py": "", "part_a/low/x.py": "import part_b", "part_b.py": ""},
            {"part_a", "part_a.low", "part_a.low.x", "part_b"},
        ),
        ("from part_a.low import x", {"part_a/low/x.py": ""}, {"part_a", "part_a.low", "part_a.low.x"}),
        ("name = 'part_a'", {"part_a/low/x.py": ""}, set()),
        ("import part_a", {"part_a/x.txt": ""}, set()),
        ("import json, part_a.x", {"json.py": "", "part_a.py": ""}, {"part_a"}),
        ("def (", {"part_a.py": ""}, set()),
        ("'Some words about part_a, and a number: 3.5'", {"part_a.py": ""}, set()),
    ],
)
def test_the_modules_that_it_names_belong_to_it(text, files, modules, tmp_path):
    write(tmp_path, {"plug_one.py": text, **files})
    plugin = one_file.read(tmp_path / "plug_one.py")
    assert set(plugin.modules) == {"plug_one", *modules}


@pytest.mark.parametrize("here", [False, True], ids=["elsewhere", "in its folder"])
def test_what_was_read_runs_and_not_what_is_on_disk_by_then(here, tmp_path, monkeypatch):
    if here:  # as under `python -m ddbench`, which can import what lies in the current folder
        monkeypatch.syspath_prepend(str(tmp_path))
    lazy = "def late():\n    from part_a.low.x import NUMBER\n    import part_b\n    return NUMBER + part_b.NUMBER\n"
    write(tmp_path, {"plug_one.py": lazy, "part_a/low/x.py": "NUMBER = 1", "part_b.py": "NUMBER = 10"})
    plugin = one_file.read(tmp_path / "plug_one.py")
    try:
        one_file.put([plugin])
        module = plugin.load()
        write(tmp_path, {"part_a/low/x.py": "NUMBER = 2", "part_b.py": "NUMBER = 20"})
        assert module.late() == 11
        edited = one_file.read(tmp_path / "plug_one.py")
        assert edited.key != plugin.key
        one_file.put([edited])
        assert edited.load().late() == 22
    finally:
        one_file.forget([plugin])
    assert not {"plug_one", "part_a", "part_a.low", "part_a.low.x", "part_b"} & set(sys.modules)
    write(tmp_path, {"part_a/low/x.py": "NUMBER = 1", "part_b.py": "NUMBER = 10"})
    assert one_file.read(tmp_path / "plug_one.py").key == plugin.key


def test_a_module_that_moves_between_files_changes_the_key(tmp_path):
    write(tmp_path, {"plug_one.py": "import part_a, part_b", "part_a.py": "x = 1", "part_b.py": ""})
    before = one_file.read(tmp_path / "plug_one.py").key
    write(tmp_path, {"part_a.py": "", "part_b.py": "x = 1"})
    assert one_file.read(tmp_path / "plug_one.py").key != before


PLUGS = {
    "a/plug_one.py": "import plug_two",
    "b/plug_two.py": "WORD = 'part_a'",
    "b/part_a.py": "",
    "c/plug_three.py": "'plug_two'",
    "d/plug_four.py": "def late():\n    import importlib\n    return importlib.import_module('plug_one')",
}


@pytest.mark.parametrize("order", [list(PLUGS), list(reversed(PLUGS))], ids=["as they import", "the other way round"])
def test_what_a_plugin_imports_from_another_plugin_is_part_of_it(order, tmp_path):
    def keys():
        plugins = one_file.read_all(tmp_path / name for name in order if name != "b/part_a.py")
        return {plugin.name: plugin.key for plugin in plugins}

    write(tmp_path, PLUGS)
    before = keys()
    assert before["plug_three"] == one_file.read(tmp_path / "c/plug_three.py").key, "it only says the name"
    for edited in ("b/plug_two.py", "b/part_a.py"):
        write(tmp_path, PLUGS | {edited: "SIGN = -1"})
        after = keys()
        assert {name for name in before if after[name] != before[name]} == {"plug_one", "plug_two", "plug_four"}


def test_modules_that_plugins_share_make_none_of_them_part_of_another(tmp_path):
    write(tmp_path, {"plug_one.py": "import part_a", "plug_two.py": "import part_a", "part_a.py": ""})
    paths = [tmp_path / "plug_one.py", tmp_path / "plug_two.py"]
    assert [plugin.key for plugin in one_file.read_all(paths)] == [one_file.read(path).key for path in paths]
