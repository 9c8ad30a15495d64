"""Leaderboard pages: rendering, checking, and what is refused."""

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from ddbench.cli.leaderboard import leaderboard
from ddbench.core.errors import UsageError
from ddbench.core.store.files import StoreWarning
from ddbench.core.store.jsonl import read_records, write_records
from tests.factories import cell, demo, keyed

PAGE = """\
# Digits

Before.

<!-- ddbench:table records=records/digits.jsonl -->
old
<!-- ddbench:end -->

After, without a final newline."""


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_records(Path("leaderboards/records/digits.jsonl"), keyed(demo()))
    Path("leaderboards/digits.md").write_text(PAGE)
    return tmp_path


def call(*args):
    return CliRunner().invoke(leaderboard, args)


def exit_code(result):
    return getattr(result.exception, "exit_code", result.exit_code)


def with_marker(marker):
    Path("leaderboards/digits.md").write_text(
        PAGE.replace("<!-- ddbench:table records=records/digits.jsonl -->", marker)
    )


def test_rendering_makes_a_page_pass_its_check_and_changes_nothing_else(site):
    assert exit_code(call("check")) == 1
    assert call("render").exit_code == 0
    assert call("check").exit_code == 0
    text = Path("leaderboards/digits.md").read_text()
    assert "\n| datm " in text
    assert "\nold\n" not in text
    assert text.startswith(PAGE[: PAGE.index("old")])
    assert text.endswith(PAGE[PAGE.index("<!-- ddbench:end") :])


def test_check_writes_nothing_names_the_page_and_shows_the_difference(site):
    result = call("check")
    assert Path("leaderboards/digits.md").read_text() == PAGE
    assert "leaderboards/digits.md" in str(result.exception)
    assert "ddbench leaderboard render leaderboards/digits.md" in str(result.exception)
    assert "-old" in result.stderr


def test_check_sees_a_number_that_was_edited(site):
    call("render")
    page = Path("leaderboards/digits.md")
    page.write_text(page.read_text().replace("87.5", "97.5"))
    assert exit_code(call("check", str(page))) == 1


def test_the_order_of_the_records_does_not_matter(site):
    call("render")
    file = Path("leaderboards/records/digits.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        file.write_text("".join(lines))
        assert call("check").exit_code == 0


def test_line_endings_of_a_page_stay(site):
    page = Path("leaderboards/digits.md")
    page.write_bytes(PAGE.replace("\n", "\r\n").encode())
    call("render")
    text = page.read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n") > 20
    assert call("check").exit_code == 0


def test_a_marker_in_a_code_block_is_an_example(site):
    page = Path("leaderboards/digits.md")
    page.write_text(f"```\n{PAGE}\n```\n{PAGE}")
    call("render")
    assert page.read_text().count("\nold\n") == 1


def test_a_page_shows_only_what_it_names(site):
    records = cell("dm", [50.0]) + cell("dm", [60.0], protocol="native")
    write_records(Path("leaderboards/records/digits.jsonl"), keyed(records))
    with_marker("<!-- ddbench:table records=records/digits.jsonl datasets=digits protocol=native@1 -->")
    call("render")
    text = Path("leaderboards/digits.md").read_text()
    assert "native@1" in text
    assert "hard@1" not in text


def test_details_are_shown_where_the_page_asks_for_them(site):
    records = cell("dm", [50.0])
    next(record for record in records if record.kind == "condense").metrics["loss"] = 0.25
    write_records(Path("leaderboards/records/digits.jsonl"), keyed(records))
    call("render")
    assert "inside the methods" not in Path("leaderboards/digits.md").read_text()
    with_marker("<!-- ddbench:table records=records/digits.jsonl details=yes -->")
    call("render")
    assert "inside the methods" in Path("leaderboards/digits.md").read_text()


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("<!-- ddbench:table records=nowhere.jsonl -->", "nowhere.jsonl: No such file"),
        ("<!-- ddbench:table -->", "records=PATH is missing"),
        ("<!-- ddbench:table records=records/digits.jsonl method=dm -->", "unknown field 'method'"),
        ("<!-- ddbench:table records=records/digits.jsonl views=score -->", "did you mean scores"),
        ("<!-- ddbench:tabel records=records/digits.jsonl -->", "malformed marker"),
        ("<!-- ddbench:table records=records/digits.jsonl", "malformed marker"),
        ("nothing", "no table begins before this end"),
        ("<!-- ddbench:table records=a -->\n<!-- ddbench:table records=b -->", "before the last one ended"),
        ("<!-- ddbench:end -->\n<!-- ddbench:table records=a -->", "no table begins"),
        ("<!-- ddbench:table records=records/digits.jsonl datasets=mnist -->", "it holds digits"),
        ("<!-- ddbench:table records=records/digits.jsonl protocol=soft -->", "no evaluations under protocol soft"),
    ],
)  # fmt: skip
def test_a_wrong_marker_is_a_usage_error_that_says_why(site, marker, message):
    with_marker(marker)
    for command in ("render", "check"):
        result = call(command, "leaderboards/digits.md")
        assert isinstance(result.exception, UsageError)
        assert message in str(result.exception)


def test_claims_that_are_judged_together_stand_in_one_block(site):
    one = "<!-- ddbench:table records=records/digits.jsonl views=main,lossless -->\n"
    with_marker(one)
    assert call("render").exit_code == 0
    with_marker(f"{one}<!-- ddbench:end -->\n{one}")
    result = call("render")
    assert isinstance(result.exception, UsageError)
    assert "digits.md:7: a second block of lossless" in str(result.exception)
    assert "records=a.jsonl,b.jsonl" in str(result.exception)


def test_a_table_without_an_end_is_a_usage_error(site):
    Path("leaderboards/digits.md").write_text(PAGE[: PAGE.index("<!-- ddbench:end")])
    assert "has no `<!-- ddbench:end -->`" in str(call("render").exception)


def test_one_wrong_page_leaves_all_pages_untouched(site):
    Path("leaderboards/zoo.md").write_text(PAGE.replace("digits.jsonl", "zoo.jsonl"))
    assert exit_code(call("render")) == 2
    assert Path("leaderboards/digits.md").read_text() == PAGE


def test_one_wrong_page_does_not_hide_the_others(site):
    Path("leaderboards/alone.md").write_text(PAGE.replace("digits.jsonl", "zoo.jsonl"))
    result = call("check")
    assert exit_code(result) == 2
    assert "digits.md: differs from its records" in result.output
    told = str(result.exception)
    assert "zoo.jsonl: No such file" in told and "out of date: leaderboards/digits.md" in told


@pytest.mark.parametrize(
    "line", [b"{", b"{}", b"null", b'{"schema": 1}', b'{"schema": 2}', b"\xff\xfe{}", b"[" * 99999]
)
@pytest.mark.parametrize("first", [False, True])
def test_a_line_that_is_no_record_is_left_out_with_its_number(site, line, first):
    assert call("render").exit_code == 0
    file = Path("leaderboards/records/digits.jsonl")
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([line, *lines] if first else [*lines, line]))
    with pytest.warns(StoreWarning) as told:
        assert call("check").exit_code == 0, "the table is of the other lines"
    why = "newer than this ddbench (schema 2)" if b"2" in line else "not a record"
    assert f"digits.jsonl:{1 if first else len(lines) + 1}: {why}" in str(told[0].message) and len(told) == 1


def test_a_table_that_lost_a_line_differs_from_its_page(site):
    call("render")
    file = Path("leaderboards/records/digits.jsonl")
    lines = file.read_text().splitlines()
    lost = next(i for i, line in enumerate(lines) if '"kind":"evaluation"' in line and '"status":"ok"' in line)
    file.write_text("\n".join([*lines[:lost], lines[lost][:-9], *lines[lost + 1 :]]))
    with pytest.warns(StoreWarning, match=f"digits.jsonl:{lost + 1}: not a record"):
        assert exit_code(call("check")) == 1


def test_a_file_without_any_record_is_refused(site):
    Path("leaderboards/records/digits.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    result = call("render")
    assert exit_code(result) == 2
    assert "no line is a record that can be used; line 1: not a record" in str(result.exception)


def test_many_bad_lines_are_counted(site):
    file = Path("leaderboards/records/digits.jsonl")
    file.write_text(file.read_text() + "{}\n" * 40)
    with pytest.warns(StoreWarning) as told:
        assert call("render").exit_code == 0
    assert len(told) == 6 and "left out as well: 35 lines" in str(told[-1].message)


def test_two_lines_that_disagree_about_one_key_are_both_left_out(site):
    kept, records = cell("random", [40.0]), cell("dm", [50.0])
    other = records[1].model_copy(update={"metrics": {"top1": 99.0}})
    write_records(Path("leaderboards/records/digits.jsonl"), keyed([*kept, *records, other]))
    with pytest.warns(StoreWarning, match="disagree about") as told:
        assert call("render").exit_code == 0
    assert len(told) == 2
    text = Path("leaderboards/digits.md").read_text()
    assert "99.0" not in text and "50.0" not in text and "40.0" in text


def test_records_with_bad_lines_are_not_written_over(tmp_path):
    file = tmp_path / "a.jsonl"
    write_records(file, keyed(cell("dm", [50.0])))
    file.write_text(file.read_text() + "{}\n")
    with pytest.raises(UsageError, match=r"a\.jsonl:3: not a record.*mend or delete the line"):
        read_records(file, whole=True)


def test_smoke_has_no_place_in_a_leaderboard(site):
    write_records(Path("leaderboards/records/digits.jsonl"), keyed(cell("dm", [50.0], profile="smoke")))
    result = call("render")
    assert exit_code(result) == 2
    assert "smoke" in str(result.exception)


def test_pages_without_tables_are_left_out_unless_named(site):
    Path("README.md").write_text("# Nothing here\n")
    assert call("render").exit_code == 0
    assert "no table to render" in str(call("render", "README.md").exception)


def test_no_page_at_all_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exit_code(call("check")) == 2


def test_records_survive_the_file_and_equal_records_give_equal_bytes(tmp_path):
    records = keyed(demo())
    write_records(tmp_path / "a.jsonl", records)
    write_records(tmp_path / "b.jsonl", reversed(records + records))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    kept = read_records(tmp_path / "a.jsonl")
    assert len(kept) == len({record.to_json() for record in records})
    assert all(record in records for record in kept)


def test_a_record_with_a_loss_that_is_no_number_can_be_written(tmp_path):
    (_, record) = cell("dm", [50.0])
    record.metrics["loss"] = float("nan")
    write_records(tmp_path / "a.jsonl", keyed([record]))
    assert read_records(tmp_path / "a.jsonl")[0].metrics == {"top1": 50.0, "loss": None}


def test_text_with_unicode_line_separators_stays_one_line(tmp_path):
    (_, record) = cell("dm", [50.0], label="a\u2028b")
    write_records(tmp_path / "a.jsonl", keyed([record]))
    assert read_records(tmp_path / "a.jsonl")[0].document.label == "a\u2028b"


def test_a_page_asks_for_views(site):
    with_marker("<!-- ddbench:table records=records/digits.jsonl views=cost,failures -->")
    assert call("render").exit_code == 0
    text = Path("leaderboards/digits.md").read_text()
    assert "pays after" in text
    assert "loss is nan at step 17" in text
    assert "minus random" not in text
    assert call("check").exit_code == 0


def test_a_table_may_join_several_files(site):
    native = cell("datm", [70.0, 71.0, 72.0], protocol="native")
    write_records(
        Path("leaderboards/records/native.jsonl"), keyed(native + cell("full", [97.5, 97.8, 98.1], updates=3000))
    )
    with_marker("<!-- ddbench:table records=records/digits.jsonl,records/native.jsonl views=regime -->")
    assert call("render").exit_code == 0
    text = Path("leaderboards/digits.md").read_text()
    assert "hard labels, DSA (hard@1)" in text and "own recipe (native@1)" in text
    assert text.count("| full") == text.count("| datm") == 3  # one line in the table of each budget


def test_of_two_results_of_one_evaluation_the_first_files_counts_and_the_page_says_so(site):
    other = cell("datm", [99.0, 99.0, 99.0], ipc=1) + cell("full", [97.5, 97.8, 98.1], updates=3000)
    write_records(Path("leaderboards/records/other.jsonl"), keyed(other))
    with_marker("<!-- ddbench:table records=records/digits.jsonl,records/other.jsonl -->")
    assert call("render").exit_code == 0
    text = Path("leaderboards/digits.md").read_text()
    assert "59.0" in text and "99.0" not in text
    assert "\ndatm: measured in digits.jsonl and, with other results, in other.jsonl; the first are shown\n" in text
    with_marker("<!-- ddbench:table records=records/other.jsonl,records/digits.jsonl -->")
    call("render")
    assert "99.0" in Path("leaderboards/digits.md").read_text()
