"""Results that other versions of a method, a protocol or an artifact kind made are told as such."""

from __future__ import annotations

import pytest

from ddbench.core.keys import artifact_key
from ddbench.core.plugin.kinds import Kind
from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.profiles import profile
from ddbench.core.specs import StudentInfo
from ddbench.core.store.jsonl import write_records
from ddbench.data.dataset import open_data
from ddbench.publish.text.render import render
from ddbench.results.tables.protocols import OURS
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, change, keyed, pair

KNOWN = installed()
DIGITS = open_data("digits", None, "default", "meanstd", KNOWN).info
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


@pytest.mark.parametrize("which", [0, 1])
def test_an_engine_that_is_gone_is_told_for_sets_and_for_students(which):
    records = made()
    records[which].env = {"engine": "blocked"}
    assert lines(records) == ("mtt: computed by blocked; ddbench computes by eager, fused or bf16: waits for new runs",)
    records[which].env = {"engine": "eager"}
    assert lines(records) == ()


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


def resolved(records, protocol="noaug", **params):
    """The evaluations as profile short resolves the protocol today, except for some settings."""
    known = Protocol.find(protocol, KNOWN)
    for record in records:
        if record.kind == "evaluation":
            document = record.document
            found = known.resolve(
                n=document.facts.n, data=DIGITS,
                student=StudentInfo(document.eval.arch), profile=profile("short"),
            )  # fmt: skip
            values = found.model_dump(mode="json") | params
            change(record, eval={"protocol_version": known.info.version, "protocol_params": values})
    return records


def of_random(protocol="noaug", **fields):
    records = cell("random", [40.0, 41.0], protocol=protocol, **fields)
    for record in records:
        change(record, cell={"method_version": KNOWN.methods.get("random").version})
    return records


def outdated_of(records):
    return [line for table in tables_of(records) for line in table.outdated]


@pytest.mark.parametrize("protocol", list(OURS))
@pytest.mark.parametrize("ipc", [1, 100])
def test_what_the_protocol_resolves_today_waits_for_nothing(protocol, ipc):
    records = resolved(of_random(protocol, ipc=ipc) + cell("full", [90.0, 91.0], protocol=protocol), protocol)
    assert outdated_of(records) == []


def test_other_learning_rates_of_the_profile_are_told_once_for_all_rows():
    old = resolved(of_random() + cell("full", [90.0, 91.0], protocol="noaug"), lr=[0.01, 0.03])
    told = "made with learning rates .01, .03; ddbench tries .003, .01, .03: waits for new runs"
    assert outdated_of(old) == [told]
    mixed = resolved(of_random(), lr=[0.01, 0.03]) + resolved(cell("full", [90.0, 91.0], protocol="noaug"))
    assert outdated_of(mixed) == [f"random: {told}"]


def test_another_length_is_told_too():
    assert outdated_of(resolved(of_random(), updates=500)) == [
        "made with updates 500; ddbench has 1000: waits for new runs"
    ]


def test_another_version_speaks_for_its_settings():
    records = resolved(of_random("hard"), "hard", lr=[0.01, 0.03])
    assert len(outdated_of(records)) == 1
    for record in records:
        if record.kind == "evaluation":
            change(record, eval={"protocol_version": 1})
    assert outdated_of(records) == [f"made under hard@1; ddbench has hard@{HARD}: waits for new runs"]


def test_where_the_profile_is_unknown_no_settings_are_told():
    for profile_of in (None, "theirs"):
        assert outdated_of(resolved(of_random(profile=profile_of), lr=[0.01, 0.03])) == []


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
    write_records(tmp_path / "old.jsonl", keyed(cell("random", [40.0, 41.0]) + made(protocol=97)))
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
    write_records(tmp_path / "old.jsonl", keyed(made()))
    call("render")
    assert call("check", "--fresh").exit_code == 0
