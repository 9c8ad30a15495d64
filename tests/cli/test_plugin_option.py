"""Every command that names members takes `--plugin FILE`, and then knows the members of that file."""

from __future__ import annotations

import json

import click
import pytest

from ddbench.cli import invoke
from ddbench.cli.root import root

NAMES_NOTHING = {"env", "plugin doctor", "plugin new", "plugin index", "results rm", "status", "cancel"}
"""Commands that take no member's name (a new one's aside), and show names as files have them."""

PLUGIN = """
from ddbench import (ArchInfo, ArtifactKind, DatasetRecord, MethodInfo, ProtocolInfo, RawDataset, Selection, Selector,
                     hookimpl)

def read(folder):
    import numpy as np
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    return RawDataset(images, np.arange(60) % 3, ("a", "b", "c"))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("mymethod", "selection", "mine_cli:M", "ddbench:Params", "mine"))

@hookimpl
def ddbench_register_datasets(registry):
    registry.add(DatasetRecord("mydata", "mine_cli:read", "mine", embedded=True))

@hookimpl
def ddbench_register_architectures(registry):
    registry.add(ArchInfo("mynet", ("mynet",), "mine_cli:b", "mine"))

@hookimpl
def ddbench_register_protocols(registry):
    registry.add(ProtocolInfo("myprotocol", 1, "mine_cli:P", "ddbench:ProtocolParams", "mine"))

@hookimpl
def ddbench_register_artifacts(registry):
    registry.add(ArtifactKind("mykind", 1, "ddbench:Params", "mine_cli:b", "mine"))
"""


def commands(group=root, path=()):
    """Every command by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_names_members_takes_a_plugin(name):
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--plugin" in options) != (name in NAMES_NOTHING)


def test_the_exceptions_are_commands():
    assert set(COMMANDS) >= NAMES_NOTHING


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    path = tmp_path / "mine_cli.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("methods", "mymethod"), ("datasets", "mydata"), ("archs", "mynet"), ("protocols", "myprotocol@1"),
        ("artifacts", "mykind"),
    ],
)  # fmt: skip
def test_the_members_of_the_file_are_listed_and_described_by_this_command_alone(file, kind, name, capsys):
    def listed(*more):
        assert invoke(["list", kind, "--json", *more]) == 0
        return {row["name"] for row in json.loads(capsys.readouterr().out)}

    assert listed("--plugin", file) - listed() == {name}
    plain = name.partition("@")[0]
    assert invoke(["describe", plain, "--plugin", file]) == 0
    assert "mine" in capsys.readouterr().out
    assert invoke(["describe", plain, "--plugin", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["from"] == file, "the same is said of members of every kind"
    assert invoke(["describe", plain]) == 2


def test_a_data_set_of_the_file_is_prepared(file, capsys):
    assert invoke(["data", "prepare", "mydata", "--plugin", file]) == 0
    assert "1×8×8, 3 classes" in capsys.readouterr().out


def test_a_file_that_is_no_plugin_is_told_by_name(tmp_path, capsys):
    path = tmp_path / "no_plugin_at_all.py"
    path.write_text("x = 1\n")
    assert invoke(["list", "methods", "--plugin", str(path)]) == 2
    assert f"--plugin {path}: registers nothing" in capsys.readouterr().err
