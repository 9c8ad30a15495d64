"""The file of claims, what is refused of it, and how what became of them is shown."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from ddbench.cli import invoke
from ddbench.core.errors import UsageError
from ddbench.core.store.jsonl import write_records
from ddbench.publish.claims import FORMATS, claims_view, read_claims
from ddbench.publish.leaderboard import fresh
from ddbench.publish.text.terminal import Screen
from ddbench.publish.views.columns import for_people
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, keyed, placed

CLAIMS = """\
claims:
  - name: dm is above random at both sizes
    where: {protocol: hard}
    holds_if:
      - {plus: [dm], minus: [random], budgets: [ipc 1]}
      - {plus: [dm], minus: [random], budgets: [ipc 10]}
  - name: random is above dm
    holds_if:
      - {plus: [random], minus: [dm], budgets: [ipc 1, ipc 10]}
  - name: ccs is above dm at 5 %
    holds_if:
      - {plus: [ccs], minus: [dm], budgets: ["5 %"]}
"""
PAGE = "# Claims\n\n<!-- ddbench:claims claims=claims.yaml records=records/a.jsonl -->\nnothing yet\n<!-- ddbench:end -->\n"


def records(n=8):
    noise = [0.0, 2.0, 1.0, 0.5, 2.5, 1.5, 0.25, 1.75][:n]
    return [
        x
        for name, gain, k in (("random", 0.0, 1), ("dm", 10.0, 3))
        for ipc, base in ((1, 40.0), (10, 70.0))
        for x in cell(name, [base + gain + e + k * r % 7 / 9 for r, e in enumerate(noise)], ipc=ipc)
    ]


@pytest.fixture
def site(tmp_path, monkeypatch, fresh_home):
    monkeypatch.chdir(tmp_path)
    write_records(Path("leaderboards/records/a.jsonl"), keyed(records()))
    Path("leaderboards/claims.yaml").write_text(CLAIMS, encoding="utf-8")
    Path("leaderboards/a.md").write_text(PAGE)
    return tmp_path


def view(site, found=None):
    return claims_view(site / "leaderboards" / "claims.yaml", tables_of(records() if found is None else found))


# --- the table


def test_each_claim_is_said_once_above_its_contrasts(site):
    head, *lines = view(site).grid
    assert head == ["claim", "contrast", "n", "difference", "95 % interval", "p", "power", "p (Holm)", "verdict"]
    shown = [(line[0], line[1], line[2], line[-1]) for line in lines]
    assert shown == [
        ("dm is above random at both sizes", "dm − random at ipc 1", "8", "holds"),
        ("", "dm − random at ipc 10", "8", ""),
        ("random is above dm", "random − dm at ipc 1, ipc 10", "8", "refuted (p <0.001)"),
        ("ccs is above dm at 5 %", "ccs − dm at 5 %", "–", "not measured: no row ccs; no budget 5 %"),
    ]
    assert lines[0][3].startswith("+10.") and lines[2][3].startswith("-10.")


def test_the_notes_say_how_many_claims_are_judged_together_and_what_they_take(site):
    said = "\n".join(view(site).notes)
    assert "adjusted for 3 claims (Holm), with n ≥ 7" in said and "at 0.05/3" in said
    assert "undecided: n = 5 of 7" in [line[-1] for line in view(site, records(5)).grid]


def test_programs_read_the_claim_on_every_line_and_its_parts_as_lists(site):
    (document,) = json.loads(FORMATS["json"](view(site), Screen()))
    first, second, *_ = document["lines"]
    assert (first["claim"], first["outcome"], first["plus"], first["budgets"]) == (
        second["claim"], "holds", ["dm"], ["ipc 1"]
    )  # fmt: skip
    assert first["p_holm"] == second["p_holm"] == pytest.approx(3 * max(first["p"], second["p"]))
    assert document["where"]["random is above dm"].startswith("digits")
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](view(site), Screen()))))
    assert [line["verdict"] for line in lines] == [line["verdict"] for line in document["lines"]]


@pytest.mark.parametrize("style", ["table", "markdown", "latex"])
def test_every_format_for_people_has_every_column(site, style):
    shown, text = view(site), FORMATS[style](view(site), Screen())
    columns = for_people(shown.columns, shown.rows)
    escaped = text.replace("\\%", "%").replace("$\\", "")
    assert all(column.header in escaped for column in columns)
    assert escaped.count("dm is above random at both sizes") >= 1 and text.endswith("\n")


def test_ratios_of_what_sets_took_are_shown_as_such(site):
    claims = Path("leaderboards/claims.yaml")
    claims.write_text(
        "claims:\n  - name: dm takes more memory\n    holds_if:\n"
        "      - {plus: [dm], minus: [random], budgets: [ipc 1], measure: peak_mb}\n",
        encoding="utf-8",
    )
    found = records()
    for record in found:
        if record.kind == "condense":
            record.cost.peak_mb = 30.0 if record.document.label == "dm" else 10.0
    shown = view(site, found)
    _, line = shown.grid
    assert line[1] == "peak memory: dm − random at ipc 1" and line[3:5] == ["×3", "[×3, ×3]"]
    assert any("ratios ×" in note for note in shown.notes)


def test_programs_read_terms_in_words(site):
    claims = Path("leaderboards/claims.yaml")
    claims.write_text(
        "claims:\n  - name: x\n    holds_if:\n"
        "      - plus: [{rows: [dm], budgets: [ipc 1]}, {rows: [random], budgets: [ipc 10]}]\n"
        "        minus: [{rows: [random], budgets: [ipc 1]}, {rows: [dm], budgets: [ipc 10]}]\n",
        encoding="utf-8",
    )
    (document,) = json.loads(FORMATS["json"](view(site), Screen()))
    assert document["lines"][0]["plus"] == ["dm at ipc 1", "random at ipc 10"]


# --- what is refused


def parts(**changes):
    contrast = {"plus": ["a"], "minus": ["b"], "budgets": ["ipc 1"], **changes}
    return {"claims": [{"name": "x", "holds_if": [{k: v for k, v in contrast.items() if v is not None}]}]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (parts(budgets=["1"]), "'1' is no budget: write `ipc 10` or `5 %`"),
        (parts(budgets=["0 %"]), "'0 %' is no budget"),
        (parts(budgets=["150 %"]), "'150 %' is no budget"),
        (parts(budgets=[]), "claims.0.holds_if.0.budgets"),
        (parts(budgets=None), "claims.0.holds_if.0: budgets is missing: write `budgets: [ipc 1]`"),
        (parts(budgets=["5 %", "5%"]), "'5 %' stands there twice"),
        (parts(plus=["a", "a"]), "'a' stands there twice"),
        (parts(measure="seconds"), "claims.0.holds_if.0.measure"),
        (parts(plus=[{"rows": ["a"], "budget": ["ipc 1"]}]), "did you mean budgets?"),
        (parts(plus=[{"rows": ["a"]}, {"rows": ["a"], "budgets": ["ipc 1"]}]), "'a at ipc 1' stands there twice"),
        (parts(plus=["a", "b"]), "row 'b' stands in plus and in minus"),
        (parts(plus="a"), "claims.0.holds_if.0.plus: Input should be a list, got 'a'"),
        (parts(minus=None, minsu=["b"]), "unknown key 'claims.0.holds_if.0.minsu'; did you mean minus?"),
        (parts(pluss=["a"]), "unknown key 'claims.0.holds_if.0.pluss'; did you mean plus?"),
        ({"claims": [{"name": "x", "holds_if": []}]}, "claims.0.holds_if"),
        ({"claims": [{"name": "x"}]}, "claims.0.holds_if is missing"),
        ({"claims": [*parts()["claims"], *parts()["claims"]]}, "'x' stands there twice"),
        ({"claims": [{**parts()["claims"][0], "where": {"protocoll": "hard"}}]}, "did you mean protocol?"),
        ({"claims": []}, "claims"),
        ([1], "write `claims:` and below it a list of claims"),
        (None, "write `claims:` and below it a list of claims"),
    ],
)
def test_a_malformed_file_is_one_line_that_says_where(site, content, says, capsys):
    file = Path("broken.yaml")
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert invoke(["results", "claims", str(file), "--records", "leaderboards/records/a.jsonl"]) == 2
    said = capsys.readouterr().err
    assert "claims broken.yaml: " in said and says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "says"), [(b"claims: [", "not YAML"), (b"\xff\xfe\xfa", "not UTF-8 text"), (None, "No such file")]
)
def test_a_file_that_cannot_be_read_is_refused(site, content, says):
    file = Path("broken.yaml")
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read_claims(file)


def test_percentages_are_the_budgets_that_runs_have(site):
    file = Path("c.yaml")
    file.write_text(yaml.safe_dump(parts(budgets=["0.3%", "2.9 %", "7 %", "ipc 10"])))
    (claim,) = read_claims(file).claims
    assert claim.holds_if[0].budgets == ("0.3 %", "2.9 %", "7 %", "ipc 10")


def test_a_claim_that_fits_several_tables_names_the_file(site, capsys):
    write_records(Path("b.jsonl"), keyed(cell("dm", [50.0] * 3, eval_arch="mlp-w128-nn")))
    given = ["results", "claims", "leaderboards/claims.yaml", "--records", "leaderboards/records/a.jsonl"]
    assert invoke([*given, "--records", "b.jsonl"]) == 2
    said = capsys.readouterr().err
    assert "claims leaderboards/claims.yaml: claim 'dm is above random at both sizes' fits 2 tables" in said


# --- pages and the command line


def test_a_page_says_what_became_of_its_claims_and_passes_its_check(site, capsys):
    assert invoke(["leaderboard", "check"]) == 1
    assert invoke(["leaderboard", "render"]) == 0
    assert invoke(["leaderboard", "check"]) == 0
    text = Path("leaderboards/a.md").read_text(encoding="utf-8")
    assert "| dm is above random at both sizes |" in text and "nothing yet" not in text
    changed = CLAIMS.replace("plus: [random], minus: [dm]", "plus: [dm], minus: [random]")
    Path("leaderboards/claims.yaml").write_text(changed, encoding="utf-8")
    assert invoke(["leaderboard", "check"]) == 1


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (PAGE.replace(" claims=claims.yaml", ""), r"a\.md:3: the field claims=PATH is missing; write `<!-- ddbench:cl"),
        (PAGE.replace("claims.yaml", "none.yaml"), r"none\.yaml: No such file"),
        (PAGE.replace("claims.yaml", "claims.yaml colour=red"), "unknown field 'colour'"),
        (PAGE + PAGE, r"a\.md:8: a second block of claims\.yaml, whose claims are judged together"),
    ],
)
def test_what_a_page_of_claims_cannot_say_is_refused(site, page, says):
    Path("leaderboards/a.md").write_text(page)
    with pytest.raises(UsageError, match=says):
        fresh(Path("leaderboards/a.md"))


def test_results_for_tests_only_have_no_place_on_a_page_of_claims(site):
    write_records(Path("leaderboards/records/a.jsonl"), keyed(cell("dm", [50.0] * 3, profile="smoke")))
    with pytest.raises(UsageError, match="smoke"):
        fresh(Path("leaderboards/a.md"))


def test_claims_are_judged_by_a_folder_as_by_its_records(site, capsys):
    placed(site / "runs" / "digits", records())
    told = []
    for where in (["--out", "runs"], ["--records", "leaderboards/records/a.jsonl"]):
        assert invoke(["results", "claims", "leaderboards/claims.yaml", *where]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "| dm is above random at both sizes |" in told[0]


def test_without_results_nothing_is_judged(site, capsys):
    claims = ["results", "claims", "leaderboards/claims.yaml", "--out", "empty"]
    assert invoke(claims) == 2
    assert "empty: no such results folder" in capsys.readouterr().err
    (site / "empty").mkdir()
    assert invoke(claims) == 2
    assert "empty: no evaluations" in capsys.readouterr().err


def test_questions_that_were_asked_afterwards_say_so(site):
    assert view(site).caption.startswith("claims fixed beforehand")
    file = site / "leaderboards" / "claims.yaml"
    file.write_text("beforehand: false\n" + CLAIMS, encoding="utf-8")
    assert view(site).caption.startswith("questions that were asked after the results were seen")
