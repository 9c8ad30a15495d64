"""Addresses are not read; paths that merely look like ones are."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from ddbench.cli.options import Place
from ddbench.core.errors import DataError, UsageError
from ddbench.core.names import is_address
from ddbench.data.exchange.files import sources_of
from ddbench.data.prepared.prepare import prepare
from ddbench.data.prepared.sources import parse_source
from ddbench.plan.suite import DatasetEntry, find
from tests.unit.data import data_files as files

ADDRESSES = ["https://example.org/x.zip", "HTTPS://example.org/x", "s3://bucket/x", "file:///tmp/x", "http://h/a?b=c"]


@pytest.mark.parametrize("text", [*ADDRESSES, "Https:/example.org/x"])
def test_addresses_are_known_in_any_case(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("text", ["/tmp/x", "//tmp/x", "x/https://y", "C:/x", "my=folder:/x", "folder:/x", "a:b", ""])
def test_paths_and_sources_are_no_addresses(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize("slashes", ["/", "//", "///"])
@pytest.mark.parametrize("scheme", ["folder", "hf", "npz"])
def test_a_path_may_begin_with_several_slashes(tmp_path: Path, scheme: str, slashes: str) -> None:
    source = parse_source(f"my={scheme}:{slashes}{str(tmp_path).lstrip('/')}", files.known())
    assert source.scheme == scheme
    assert source.path is not None
    assert source.path.samefile(tmp_path)


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("hf://datasets/user/name", "my=hf:user/name"),
        ("hf://user/name", "my=hf:user/name"),
        ("hf://x", "my=hf:USER/NAME"),
    ],
)
def test_the_hub_is_named_without_slashes(place: str, advice: str) -> None:
    with pytest.raises(DataError, match=f"written without slashes: {advice}$"):
        parse_source(f"my={place}", files.known())


@pytest.mark.parametrize(
    "page",
    ["https://huggingface.co/datasets/user/my.set-1", "HTTPS://www.huggingface.co/datasets/user/my.set-1/viewer/default",
     "http://huggingface.co/datasets/user/my.set-1/tree/main?x=1"],
)  # fmt: skip
@pytest.mark.parametrize(("before", "name"), [("", "NAME"), ("my=", "my"), ("my=hf:", "my"), ("my=folder:", "my")])
def test_a_page_of_the_hub_is_a_name_there(page: str, before: str, name: str) -> None:
    with pytest.raises((DataError, UsageError), match=f"write {name}=hf:user/my.set-1, which downloads it"):
        parse_source(before + page, files.known())


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_refused_wherever_files_are_named(address: str, fresh_home: Path) -> None:
    known, entry = files.known(), DatasetEntry(name="my", path=address)
    for text, write in (
        (address, "NAME=SCHEME:PATH"),
        (f"my={address}", "my=SCHEME:PATH"),
        (f"my=folder:{address}", "my=folder:PATH"),
        (f"my=npz:{address}", "my=npz:PATH"),
        (entry.text, "my=folder:PATH"),
    ):
        with pytest.raises(
            (DataError, UsageError), match=f"addresses are not read: download the files, and write {write}"
        ):
            parse_source(text, known)
    with pytest.raises(DataError, match="addresses are not read: download the file, and name it"):
        sources_of([Path(address)])
    with pytest.raises(DataError, match="addresses are not read: download the files, and give their folder"):
        prepare(parse_source("mnist", known), files=Path(address))
    with pytest.raises(UsageError, match="addresses are not read: download the suite, and give the path of the file"):
        find(address)
    with pytest.raises(click.BadParameter, match="addresses are not read: download what is there, and give its path"):
        Place(path_type=Path).convert(address, None, None)
