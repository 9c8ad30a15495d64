"""What users write in YAML is read, or refused in words."""

from __future__ import annotations

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.settings import VARIABLES, check_environment
from ddbench.core.yaml import parse_yaml, read_yaml

REFUSED = {
    "deep list": "[" * 2000,
    "deep, closed": "[" * 200 + "]" * 200,
    "deep mapping": "".join(f"{' ' * i}a:\n" for i in range(200)),
    "set": "!!set {a, b}",
    "ordered": "!!omap [a: 1]",
    "binary": "!!binary aGFsbG8=",
    "python": "!!python/object/apply:os.getcwd []",
    "digits": "9" * 5000,
    "hex digits": "0x" + "f" * 5000,
    "no timestamp": "!!timestamp x",
    "timestamp": "!!timestamp 2024-01-01",
    "many": "[" + "1," * 100_001 + "]",
    "no number": "!!int x",
    "twice": "{a: 1, a: 2}",
    "key of lists": "{[a]: 1}",
    "itself": "&a [*a]",
    "laughs": "\n".join([f"a0: &a0 [{'x, ' * 9}x]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}*a{i - 1}]" for i in range(1, 9))]),
    "merged into itself": "&a {<<: [*a, {b: *a}]}",
    "merged over and over": f"a: &a {{{', '.join(f'k{i}: 1' for i in range(600))}}}\nb: {{<<: [{'*a, ' * 20}]}}",
    "two documents": "a: 1\n---\nb: 2",
    "tab": "a:\n\t- b",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_has_no_meaning_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"\w") as told:
        parse_yaml(text)
    assert "\n" not in str(told.value) and len(str(told.value)) <= 300


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("010", "10"), ("-010", "-10"), ("+007", "+7"), ("00", "0"), ("08", "8"), ("1_0", "10"), ("1_000.5", "1000.5"),
        ("0_1", "1"), ("1.5_0", "1.50"), ("1_0e3", "10e3"), ("1:30", None), ("-1:30", None), ("1:30:00", None),
        ("1:30.5", None), ("0x10", None), ("-0xFF", None), ("0o10", None), ("0b11", None), ("0x1_0", None),
        ("!!int 010", "10"), ("!!int 0x10", None), ("!!float 1_0", "10"), ("0" * 500, None), ("0" + "1" * 500, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["{}", "{{ipc: [{}]}}", "a: {}", "- {}", "{{? {} : a}}"])
def test_numbers_that_mean_different_things_to_different_people_are_refused(text, write, place):
    with pytest.raises(ValueError, match="no number here") as told:
        parse_yaml(place.format(text))
    assert text.split()[-1][:80] in str(told.value) and len(str(told.value)) <= 300
    assert write is None or f"write {write};" in str(told.value)
    quoted = text.split()[-1]
    assert parse_yaml(f"'{quoted}'") == quoted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10), ("-3", -3), ("+3", 3), ("0", 0), ("0.5", 0.5), (".5", 0.5), ("-.5", -0.5), ("5.", 5.0), ("1e3", 1000.0),
        ("1e-3", 0.001), ("1E+3", 1000.0), ("1.5e3", 1500.0), (".inf", float("inf")), ("-.INF", float("-inf")),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("OFF", "OFF"), ("y", "y"), ("true", True), ("FALSE", False),
        ("~", None), ("null", None), ("", None), ("1.2.3", "1.2.3"), ("1:90", "1:90"), ("0x", "0x"), ("_1", "_1"),
        ("cuda:0", "cuda:0"), ("10s", "10s"), ("1-0", "1-0"), ("0.05", 0.05), ("!!float 3", 3.0), ("e3", "e3"), (".", "."),
        ("2024-01-01", "2024-01-01"), ("2024-13-45", "2024-13-45"), ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
    ],
)  # fmt: skip
def test_plain_values_are_what_they_look_like(text, value):
    found = parse_yaml(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["!!bool x", "a: !!bool x"])
def test_values_that_are_not_what_their_tag_says_are_told_as_such(text):
    with pytest.raises(ValueError, match="not what its tag"):
        parse_yaml(text)


def test_what_has_one_is_read():
    assert parse_yaml("{a: [1, 2.5, x], b: {c: null, d: true}, e: -.inf}") == {
        "a": [1, 2.5, "x"], "b": {"c": None, "d": True}, "e": float("-inf"),
    }  # fmt: skip


def test_what_mappings_share_is_merged_and_what_they_say_themselves_goes_before():
    text = "{base: &b {ipc: 1, lr: 2}, one: {lr: 3, <<: *b}, two: {<<: [{ipc: 5}, *b]}}"
    merged = {"base": {"ipc": 1, "lr": 2}, "one": {"ipc": 1, "lr": 3}, "two": {"ipc": 5, "lr": 2}}
    assert parse_yaml(text) == merged
    assert parse_yaml("{x: {y: &b {<<: &a {l: 1, m: 1}, l: 2}}, c: {<<: *b}}")["c"] == {"l": 2, "m": 1}
    with pytest.raises(ValueError, match="given twice"):
        parse_yaml("{x: {y: &b {<<: {m: 1}, l: 2, l: 3}}, c: {<<: *b}}")


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a: \xe9", b"\x00", b"a: \x80"])
def test_what_is_not_utf8_text_is_refused(tmp_path, content):
    (tmp_path / "s.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=r"s\.yaml"):
        read_yaml(tmp_path / "s.yaml", "suite")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(tmp_path / "s.yaml", "suite") == {"a": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [("DDBENCH_HOME", ""), ("DDBENCH_HOME", "  "), ("DDBENCH_HOME", "/etc/hostname"), ("DDBENCH_HOME", "~nobody-here/x"),
     ("DDBENCH_HOME", "/" + "a" * 5000), ("DDBENCH_CHECKPOINT_S", "soon"), ("DDBENCH_CHECKPOINT_S", "nan"),
     ("DDBENCH_CHECKPOINT_S", "-1"), ("DDBENCH_CHECKPOINT_S", ""), ("DDBENCH_PLUGINS_STRICT", "yes"),
     ("DDBENCH_DOWNLOAD", "2"), ("DDBENCH_KEEP_MEMORY", "no")],
)  # fmt: skip
def test_variables_that_cannot_be_meant_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=rf"^\${name} "):
        check_environment()


def test_variables_that_can_are_not(monkeypatch, tmp_path):
    for name, value in zip(VARIABLES, (str(tmp_path / "new"), "0.5", "1", "0", ""), strict=True):
        monkeypatch.setenv(name, value)
    check_environment()
