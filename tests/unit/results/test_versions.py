"""Results that other versions of a method, a protocol or an artifact kind made are told as such."""

from __future__ import annotations

import pytest

from ddbench.core.keys import artifact_key
from ddbench.core.plugin.kinds import Kind
from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.store.jsonl import write_records
from ddbench.publish.text.render import render
from ddbench.results.tables.protocols import OURS
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, change, pair

KNOWN = installed()
HARD, MTT = OURS["hard"].version, KNOWN.methods.get("mtt").version
EXPERTS = Kind.find("experts", KNOWN)


def made(method="mtt", *, protocol=HARD, version=MTT, **fields):
    records = pair(method, 50.0, **fields)
    change(records[0], cell={"method_version": version})
    change(records[1], cell={"method_version": version}, eval={"protocol_version": protocol})
    return records


def with_pool(version, **params):
    """A set from the pool that its own parameters declare, built by a version of the kind."""
    values = params_class(KNOWN.methods.get("mtt"))().model_dump(mode="json") | params
    (record, _) = made(params=values)
    declared = params_class(KNOWN.methods.get("mtt"))(**values).artifacts(record.document.cell)
    spec = EXPERTS.completed(declared["experts"], "")
    return made(params=values, artifacts={"experts": ["experts", artifact_key(KNOWN.with_origins(spec), version)]})


def lines(records):
    (table,) = tables_of(records)
    return table.outdated


def test_what_this_ddbench_makes_waits_for_nothing():
    assert lines(with_pool(EXPERTS.info.version)) == ()
    assert lines(made()) == ()


def test_another_version_of_the_protocol_is_told_once_for_all_rows():
    found = lines(made(protocol=97) + made("dm", protocol=97, version=KNOWN.methods.get("dm").version))
    assert found == (f"made under hard@97; ddbench has hard@{HARD}: waits for new runs",)


def test_another_version_of_a_method_names_its_rows():
    records = made(version=98) + made(version=98, label="mtt, other", ipc=10)
    assert lines(records) == (f"mtt, mtt, other: made by mtt@98; ddbench has mtt@{MTT}: waits for new runs",)


def test_artifacts_are_told_by_their_keys():
    now = EXPERTS.info.version
    assert now > 1
    assert lines(with_pool(1)) == (f"mtt: from experts@1; ddbench has experts@{now}: waits for new runs",)
    other = made(artifacts={"experts": ["experts", "f" * 64]})
    assert lines(other) == (f"mtt: from experts of other parameters; ddbench has experts@{now}: waits for new runs",)


@pytest.mark.parametrize("cell_of", [{"method": "theirs"}, {"origin": "another-plugin"}])
def test_of_members_that_are_not_here_nothing_is_told(cell_of):
    records = made(version=98)
    for record in records:
        change(record, cell=cell_of)
    assert lines(records) == ()


def test_two_versions_of_a_method_are_two_rows_and_two_of_a_protocol_two_tables():
    old, new = made(version=98), made(version=MTT, label="mtt")
    for record in new:
        record.key += "0"
    change(new[1], eval={"set": new[0].key, "protocol_version": HARD})
    (table,) = tables_of(old + new)
    assert len(table.rows) == 2
    assert all("version=" in row.label for row in table.rows)
    assert len(tables_of(made(protocol=97) + made("dm"))) == 2


@pytest.mark.parametrize("style", ["table", "markdown", "latex"])
def test_every_table_that_people_read_carries_the_line(style):
    text = render(tables_of(made(protocol=97)), style, views=["main", "cost", "scores"])
    assert text.count("made under hard@97; ddbench has") == 3


def test_pages_are_checked_for_it_and_fail_only_if_asked(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from ddbench.cli.leaderboard import leaderboard

    monkeypatch.chdir(tmp_path)
    write_records(tmp_path / "old.jsonl", cell("random", [40.0, 41.0]) + made(protocol=97))
    page = tmp_path / "page.md"
    page.write_text("<!-- ddbench:table records=old.jsonl -->\n<!-- ddbench:end -->\n")
    html = tmp_path / "page.html"
    html.write_text('<!-- ddbench:page title="Old" records=old.jsonl -->\n')

    def call(*args):
        return CliRunner().invoke(leaderboard, [*args, "page.md", "page.html"])

    assert call("render").exit_code == 0
    assert "made under hard@97; ddbench has" in page.read_text()
    assert "made under hard@97; ddbench has" in html.read_text()
    result = call("check")
    assert result.exit_code == 0
    assert result.output.count(f"  made under hard@97; ddbench has hard@{HARD}: waits for new runs (1 table)") == 2
    assert "made by other versions: page.md page.html" in str(call("check", "--fresh").exception)
    write_records(tmp_path / "old.jsonl", made())
    call("render")
    assert call("check", "--fresh").exit_code == 0
