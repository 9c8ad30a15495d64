"""Parquet files and data sets of the Hub under several framings and columns of labels: each pair is a copy of its own."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ddbench.cli import data as cli
from ddbench.core.errors import DataError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.files import StoreWarning
from ddbench.data.prepared.pointers import origins_of
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import Source, parse_source
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.plan import suite
from ddbench.plan.datasets import data_of
from tests.unit.data import data_files as files
from tests.unit.data.test_labels import library, table

__all__ = ["library"]
pytestmark = pytest.mark.usefixtures("fresh_home")

WAYS = [PLAIN, Framing(resize=4), Framing(resize=4, gray=True)]
COLUMNS = {"genus_label": 2, "kind class": 3}
PAIRS = list(itertools.product(WAYS, COLUMNS))


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    return table(tmp_path / "birds" / "train-0.parquet", {c: files.cycle(36, count) for c, count in COLUMNS.items()})


def source(text: str, framing: Framing = PLAIN, column: str | None = None) -> Source:
    return parse_source(text, files.known(), framing, column)


def test_each_framing_with_each_column_is_a_copy_of_its_own(birds: Path) -> None:
    text = f"birds=hf:{birds}"
    made = {pair: prepare(source(text, *pair)) for pair in PAIRS}
    assert len({copy.revision for copy in made.values()}) == len(PAIRS)
    assert len(list(made[PAIRS[0]].folder.parent.glob("source-*.json"))) == len(PAIRS)
    for (framing, column), copy in made.items():
        side, channels = framing.resize or 8, 1 if framing.gray else 3
        assert (copy.meta.shape[1:], copy.meta.classes) == ((channels, side, side), COLUMNS[column])
        assert resolve(source(text, framing, column)) == copy
    known = {(found.framing, found.column): pointer.revision for found, pointer in origins_of("birds")}
    assert known == {pair: copy.revision for pair, copy in made.items()}


def test_commands_and_messages_name_the_framing_and_the_column(birds: Path) -> None:
    text = f"birds=hf:{birds}"
    again = rf"`ddbench data prepare {text} --resize 4 --gray --label 'kind class'`"
    made = prepare(source(text, *PAIRS[-1]))
    with pytest.raises(UsageError, match=f"to read its files again run {again}"):
        prepare(source("birds"))
    with pytest.raises(DataError, match=r"only with --resize 4 --gray: run `.* --resize 6 --label 'kind class'`"):
        resolve(source("birds", Framing(resize=6)))
    with pytest.raises(DataError, match=r"choose one with --label COLUMN \(its prepared copy with --resize 4 --gray"):
        resolve(source(text))
    table(birds, {name: files.cycle(30, count) for name, count in COLUMNS.items()}, seed=3)
    with pytest.warns(StoreWarning, match=f"changed since it was decoded; the copy of then is used \\({again}"):
        assert resolve(source("birds", WAYS[-1])) == made
    shutil.rmtree(made.folder)
    with pytest.raises(DataError, match=f"is gone or damaged: run {again}"):
        resolve(source("birds"))


def test_a_name_alone_tells_of_copies_with_other_framings_or_columns(birds: Path) -> None:
    prepare(source(f"birds=hf:{birds}", WAYS[1], "genus_label"))
    last = prepare(source(f"birds=hf:{birds}", WAYS[1], "kind class"))
    with pytest.warns(
        StoreWarning, match=r"is used \(--resize 4 --label 'kind class'\); .* with --resize 4 --label genus_label"
    ):
        assert resolve(source("birds")) == last


def test_what_cannot_be_read_is_met_with_the_options_that_help(birds: Path) -> None:
    place = f"birds=hf:{birds}"
    with pytest.raises(
        DataError, match=r"options of `ddbench data prepare birds=\S+ --resize 4`; a suite has `label`\)"
    ):
        resolve(source(place, Framing(resize=4)))
    files.write_parquet(birds, files.pixels(4, 6, 8, 3), np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match=r"squares of one size: .* --label label`; a suite has `resize` and `crop`\)"):
        resolve(source(place, PLAIN, "label"))


def test_data_sets_of_the_hub_are_framed_too(
    tmp_path: Path, library: dict[str, Any], monkeypatch: pytest.MonkeyPatch, birds: Path
) -> None:
    library["ana/birds"] = {"default": {"train": birds}}
    text = "birds=hf:ana/birds"
    made = prepare(source(text, WAYS[1], "genus_label"))
    assert made.revision == prepare(source(f"birds=hf:{birds}", WAYS[1], "genus_label")).revision
    assert resolve(source(text, WAYS[1], "genus_label")) == resolve(source("birds", WAYS[1])) == made
    with pytest.raises(
        DataError, match=r"prepared with --resize 4 --gray --label genus_label: run `\S+ \S+ prepare \S+ .*genus_label`"
    ):
        resolve(source(text, WAYS[2], "genus_label"))
    with pytest.raises(DataError, match=r"prepared with no options: run `ddbench data prepare birds=hf:ana/birds`"):
        resolve(source(text))
    monkeypatch.setenv("DDBENCH_DOWNLOAD", "1")
    assert resolve(source(text, WAYS[2], "genus_label")).meta.shape[1:] == (1, 4, 4)


def test_suites_say_both(birds: Path) -> None:
    entries = [
        {"name": "birds", "path": f"hf:{birds}", "label": column, **framing.model_dump(exclude_defaults=True)}
        for framing, column in PAIRS
    ]
    parsed = suite.parse({"methods": ["random"], "budget": {"ipc": [1]}, "datasets": entries}, "test")
    found = [(data.info.channels, data.info.size, data.info.classes) for data in data_of(parsed, installed())]
    assert found == [(3, 8, 2), (3, 8, 3), (3, 4, 2), (3, 4, 3), (1, 4, 2), (1, 4, 3)]


def test_the_command_takes_both_and_the_list_tells_them(birds: Path) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli.data, arguments, catch_exceptions=False).stdout

    assert "1×4×4, 3 classes" in run("prepare", f"birds=hf:{birds}", "--resize", "4", "--gray", "--label", "kind class")
    assert f"from hf:{birds} with --resize 4 --gray --label 'kind class'" in run("list")
    rows = {row["name"]: row["source"] for row in json.loads(run("list", "--json"))}
    assert rows["birds"] == f"hf:{birds}"
