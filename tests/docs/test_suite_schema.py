"""The JSON schema of suites that editors read: current, and of one mind with what ddbench accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from ddbench.core.errors import UsageError
from ddbench.plan.suite import parse
from ddbench.plan.suite_schema import schema, text

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs/reference/suite.schema.json"
SUITES = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if not path.name.startswith("tune-")]
SHORT = {"schema": 1, "methods": ["dm"], "budget": {"ipc": [1]}}


def valid(content):
    try:
        jsonschema.validate(content, schema())
    except jsonschema.ValidationError:
        return False
    return True


def accepted(content):
    try:
        parse(content, "a test")
    except UsageError:
        return False
    return True


def test_the_committed_file_is_current():
    assert FILE.read_text(encoding="utf-8") == text(), f"write it with `python -m ddbench.plan.suite_schema {FILE}`"
    jsonschema.Draft202012Validator.check_schema(json.loads(text()))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_that_comes_with_ddbench_is_valid(path):
    assert valid(yaml.safe_load(path.read_text(encoding="utf-8")))


NUMBER = "[0-9]+|an?|half an|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|forty"
SPAN = re.compile(rf"\b({NUMBER}) (CPU )?(second|minute|hour|day)s?\b|Nobody has measured", re.IGNORECASE)
ASKS = re.compile(r"\?|\bAnswers:")


def words(head):
    return re.sub(r"\n# +", " ", head).replace("-", " ")


def test_every_file_of_configs_begins_with_what_it_answers_and_how_long_it_takes():
    files = sorted((ROOT / "configs").glob("*.yaml"))
    heads = {path.stem: path.read_text(encoding="utf-8").partition("schema: 1\n")[0] for path in files}
    assert len(heads) >= 29
    for name, head in heads.items():
        assert all(line.startswith("# ") for line in head.splitlines()) and len(head.splitlines()[0]) > 20, name
        assert ASKS.search(head), f"{name}: what does it answer?"
        assert SPAN.search(words(head)), f"{name}: how long does it take?"


def test_a_head_without_question_or_number_is_found():
    for head in ("# Hours on two cores, most of them\n# for ResNet-18.", "# In minutes.", "# 10 cores, a step"):
        assert not ASKS.search(head) and not SPAN.search(words(head)), head
    for head in ("# Over an\n# hour", "# The five-minute comparison", "# 20 CPU minutes", "# nobody has measured it"):
        assert SPAN.search(words(head)), head


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_says_what_must_be_prepared(path):
    head, _, rest = path.read_text(encoding="utf-8").partition("schema: 1\n")
    entries = yaml.safe_load(rest).get("datasets", ["digits"])
    names = {entry if isinstance(entry, str) else entry["name"] for entry in entries} - {"digits"}
    _, needs, told = head.partition("# Needs: ")
    assert all(needs and name in told for name in names if "=" not in name)


@pytest.mark.parametrize(
    "change",
    [
        {}, {"methods": [{"name": "dm", "params": {"iterations": 3}}, "random"]}, {"budget": {"fraction": [0.1]}},
        {"exclude": [{"method": "dm"}, {"method": ["dm", "mtt"], "ipc": 1}]}, {"seeds": {"condense": 2}},
        {"datasets": ["digits", {"name": "my", "path": "a,b", "resize": 64, "crop": "center"}]},
        {"methods": "dm"}, {"methods": [{"nam": "dm"}]}, {"method": ["dm"]}, {"budget": 1}, {"budget": {"ipc": 1}},
        {"seeds": 5}, {"seeds": {"condense": 0}}, {"exclude": {"method": "dm"}}, {"exclude": [{"role": "twins"}]},
        {"schema": 2}, {"controls": "maybe"}, {"precision": "fp16"}, {"set": {"dm": 3}}, {"datasets": [{"view": {}}]},
        {"master_seed": -1}, {"archs": "convnet2"},
    ],
    ids=str,
)  # fmt: skip
def test_what_an_editor_accepts_is_what_ddbench_accepts(change):
    content = SHORT | change
    assert valid(content) == accepted(content)


def test_every_field_is_described():
    models = (schema(), *schema()["$defs"].values())
    bare = [(m["title"], name) for m in models for name, f in m["properties"].items() if not f.get("description")]
    assert bare == []


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ({"seeds": 5}, "write `seeds: {condense: 5}`"), ({"methods": "dm"}, "write `methods: [dm]`"),
        ({"budget": 10}, "write `budget: {ipc: [10]}`"), ({"budget": 0.1}, "write `budget: {fraction: [0.1]}`"),
        ({"budget": [1, 10]}, "write `budget: {ipc: [1, 10]}`"), ({"budget": {"ipc": 10}}, "write `budget: {ipc: [10]}`"),
        ({"exclude": {"method": "dm"}}, "write `exclude: [{method: dm}]`"), ({"archs": "convnet3"}, "write `archs: [convnet3]`"),
    ],
    ids=str,
)  # fmt: skip
def test_what_was_meant_is_said(content, advice):
    with pytest.raises(UsageError) as error:
        parse(SHORT | content, "a test")
    assert str(error.value).endswith(advice)
    (key,) = content
    assert accepted(SHORT | yaml.safe_load(advice.split("`")[1])), key


@pytest.mark.parametrize("content", [{"seeds": "many"}, {"budget": {"ipc": 1.5}}, {"methods": 10}, {"seeds": 10**5000}])
def test_nothing_is_advised_where_nothing_would_do(content):
    with pytest.raises(UsageError) as error:
        parse(SHORT | content, "a test")
    assert "write" not in str(error.value)
