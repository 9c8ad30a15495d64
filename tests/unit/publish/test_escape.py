"""Text of others is text in a page, and in a spreadsheet."""

from __future__ import annotations

import io

import pytest

from ddbench.publish.text.escape import escaped, escaped_cell, plain_value, write_csv


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[a](http://b)", r"[a\](http://b)"),
        ("![a](b)", r"\![a\](b)"),
        ("[a][b]", r"[a\][b]"),
        ("[a]: http://b", r"\[a]: http://b"),
        ("<!-- ddbench:end -->", "&lt;!-- ddbench:end -->"),
        ("<script>x</script>", "&lt;script>x&lt;/script>"),
        ("&lt;b>", "&amp;lt;b>"),
        ("a|b", r"a\|b"),
        ("a\n| b |", r"a \| b \|"),
        ("a\u2028b\rc", "a b c"),
        ("`a` *b* ~~c~~", r"\`a\` \*b\* \~\~c\~\~"),
        ("# a", r"\# a"),
        ("> a", r"\> a"),
        ("- a", r"\- a"),
        ("40.2 [39.1, 41.3] (3)", "40.2 [39.1, 41.3] (3)"),
        ("a < 1 & b_c", "a < 1 & b_c"),
        ("-1.5", "-1.5"),
    ],
)
def test_text_becomes_no_markup(text, shown):
    assert escaped(text) == shown


def test_a_cell_may_be_bold_and_nothing_else():
    assert escaped_cell("**41.0 ± 1** (3)") == "**41.0 ± 1** (3)"
    assert escaped_cell("**[a](b)**") == r"**[a\](b)**"
    assert escaped_cell("**a** *b*") == r"\*\*a\*\* \*b\*"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@sum(a)", "\t=1", "\r=1", "=HYPERLINK(1)", "-1+1"])
def test_formulas_are_quoted(text):
    assert plain_value(text) == "'" + text


@pytest.mark.parametrize("value", [-1.5, 3, None, "-1.5", "+2", "1e-3", "-inf", "dm", "a=b", ""])
def test_numbers_and_words_stay(value):
    assert plain_value(value) == value


def test_a_line_of_csv_holds_what_was_given():
    out = io.StringIO()
    write_csv(out, ["a", "b", "c"], [{"a": "=x", "b": -1.5}, {"c": "y"}])
    assert out.getvalue() == "a,b,c\n'=x,-1.5,\n,,y\n"
