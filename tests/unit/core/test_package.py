"""What the package says of itself is said once, and is true of the files beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

import ddbench

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
FIELDS = {"cff-version", "message", "type", "title", "version", "authors", "license", "abstract", "keywords"}


def test_the_version_is_that_of_the_project():
    assert ddbench.__version__ == PROJECT["version"]


def test_the_citation_says_what_the_project_says():
    assert set(CITATION) == FIELDS, "a field that is not of the Citation File Format makes the file invalid"
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["version"] == PROJECT["version"], "copy the version of pyproject.toml, and keep its quotes"
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == PROJECT["authors"]
    assert CITATION["keywords"] == PROJECT["keywords"]


def test_the_licence_is_in_the_tree_and_names_its_holders():
    (author,) = PROJECT["authors"]
    for name in PROJECT["license-files"]:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text.startswith(f"{PROJECT['license']} License\n")
        assert author["name"] in text


def test_types_reach_the_users_of_the_package():
    assert (ROOT / "ddbench" / "py.typed").is_file()
