"""`ddbench list` and `ddbench describe` know the names that are no methods and may stand among them."""

from __future__ import annotations

import json

import pytest

from tests.e2e.runs import ddbench


def said(capsys, *arguments, code=0):
    capsys.readouterr()
    assert ddbench(*arguments) == code
    told = capsys.readouterr()
    return told.out if code == 0 else told.err


def test_the_list_of_methods_ends_with_the_pattern(capsys):
    out = said(capsys, "list", "methods")
    *_, last = out.splitlines()
    assert last.startswith("NAME_soft (aum_soft, ") and last.endswith(
        ", …): random_soft on the set of NAME (see `ddbench describe random_soft`)"
    )
    assert all("NAME_" not in said(capsys, "list", kind) for kind in ("datasets", "archs", "protocols", "artifacts"))
    assert {"kmeans", "random_soft"} <= {row["name"] for row in json.loads(said(capsys, "list", "methods", "--json"))}


def test_such_a_name_is_described_as_what_it_is(capsys):
    first, rest = said(capsys, "describe", "kmeans_soft").split("\n", 1)
    assert first == "kmeans_soft: random_soft on the set of kmeans"
    whole = said(capsys, "describe", "random_soft").splitlines()
    assert rest.splitlines() == [line for line in whole if not line.startswith("from the sets of other methods: ")]
    assert len(whole) == len(rest.splitlines()) + 1
    told = json.loads(said(capsys, "describe", "kmeans_soft", "--json"))
    assert (told["name"], told["starts_from"], told["method"]["name"]) == ("kmeans_soft", "kmeans", "random_soft")
    assert "starts_from" not in json.loads(said(capsys, "describe", "random_soft", "--json"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("datm_soft", "datm_soft: datm makes images of its own; random_soft starts from real images"),
        ("kmens_soft", "unknown method 'kmens_soft'; did you mean kmeans_soft"),
        ("kmens", "unknown method 'kmens'; did you mean kmeans"),
    ],
)
def test_what_is_none_is_refused(capsys, name, message):
    assert message in said(capsys, "describe", name, code=2)
