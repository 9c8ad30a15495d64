"""The JSON schemas of suites and tuning files that editors read: current, and of one mind with what ddbench accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import active
from ddbench.data.readers.framing import LARGEST
from ddbench.plan import tuning
from ddbench.plan.schemas import DOCUMENTS, schema, text
from ddbench.plan.suite import MOST_IPC, parse

ROOT = Path(__file__).parents[2]
TUNING = sorted((ROOT / "configs").glob("tune-*.yaml"))
SUITES = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if not path.name.startswith("tune-")]
SHORT = {"schema": 1, "methods": ["dm"], "budget": {"ipc": [1]}}


def valid(content, name="suite"):
    try:
        jsonschema.validate(content, schema(name))
    except jsonschema.ValidationError:
        return False
    return True


def accepted(content):
    try:
        parse(content, "a test")
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_file_is_current(name):
    file = ROOT / f"docs/reference/{name}.schema.json"
    assert file.read_text(encoding="utf-8") == text(name), (
        "write it with `python -m ddbench.plan.schemas docs/reference`"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(text(name)))


def test_every_schema_is_published_and_said_in_the_docs():
    published = {path.name for path in (ROOT / "docs/reference").glob("*.schema.json")}
    page = (ROOT / "docs/reference/suite.md").read_text(encoding="utf-8")
    assert published == {f"{name}.schema.json" for name in DOCUMENTS}
    assert all(f"({name})" in page for name in published)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_that_comes_with_ddbench_is_valid(path):
    assert valid(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", TUNING, ids=lambda path: path.stem)
def test_every_tuning_file_that_comes_with_ddbench_is_valid_and_no_suite(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert valid(content, "tuning") and not valid(content)


def test_there_are_tuning_files():
    assert len(TUNING) >= 4


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
        *({"budget": {"ipc": [n]}} for n in (0, -1, 1, MOST_IPC, MOST_IPC + 1)),
        *({"budget": {"fraction": [share]}} for share in (0, -0.5, 1e-9, 1, 1.01)),
        *({"budget": budget} for budget in ({}, {"ipc": []}, {"ipc": [1], "fraction": [0.5]}, {"ipc": [], "fraction": [1]})),
        *({"datasets": [{"name": "my", "path": "a", "resize": side}]} for side in (0, 1, LARGEST, LARGEST + 1)),
        *({"seeds": {name: n}} for name in ("condense", "evaluate", "random") for n in (-1, 0, 1)),
        *({field: []} for field in ("methods", "datasets", "archs", "eval_archs", "preprocess", "protocols")),
        *({field: [" "]} for field in ("methods", "datasets", "archs", "eval_archs", "preprocess", "protocols")),
        {"methods": [{"name": ""}]}, {"exclude": [{}]}, {"exclude": [{"method": []}]}, {"split": "tune"}, {"split": "paper"},
    ],
    ids=str,
)  # fmt: skip
def test_what_an_editor_accepts_is_what_ddbench_accepts(change):
    content = SHORT | change
    assert valid(content) == accepted(content)


TRIED = {"budget": {"ipc": [1]}, "configurations": [{"methods": ["dm"], "try": [{"lr_img": 1.0}]}],
         "datasets": [{"name": "digits", "view": {"train_size": 200}}]}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {}, {"schema": 2}, {"budget": {"ipc": [0]}}, {"budget": {"fraction": [1.5]}}, {"configurations": []},
        {"configurations": [{"methods": ["dm"]}]}, {"configurations": [{"methods": ["dm"], "try": []}]},
        {"configurations": [{"methods": [], "try": [{}]}]}, {"configurations": [{"methods": ["dm"], "tries": [{}]}]},
        {"configurations": [{"methods": ["dm"], "try": [{}], "before": {"lr_img": 3.0}}]},
        {"base": [{"methods": ["dm"], "params": {"iterations": 3}}]}, {"base": [{"methods": ["dm"]}]},
        {"base": {"methods": ["dm"], "params": {}}}, {"archs": ["mlp", "convnet2"]}, {"datasets": ["digits", "mnist"]},
        {"preprocess": []}, {"protocol": ["hard"]}, {"protocols": ["hard"]}, {"methods": ["dm"]}, {"master_seed": -1},
    ],
    ids=str,
)  # fmt: skip
def test_what_an_editor_accepts_of_a_tuning_file_is_what_ddbench_accepts(change):
    content = TRIED | change
    try:
        tuning.parse(content, "a test", active())
    except UsageError:
        assert not valid(content, "tuning")
    else:
        assert valid(content, "tuning")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_is_described(name):
    models = (schema(name), *schema(name)["$defs"].values())
    bare = [(m["title"], name) for m in models for name, f in m["properties"].items() if not f.get("description")]
    assert bare == []
