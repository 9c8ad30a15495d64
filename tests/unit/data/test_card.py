"""The dataset card of an exported set: what the Hub reads of it, and whether what it says makes the set again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.core.store.jsonl import read_records
from ddbench.data.dataset import open_data
from ddbench.data.exchange.card import card
from ddbench.plan import grid, planner
from ddbench.plan.suite import parse
from tests.factories import pair

RECORDS = Path(__file__).parents[3] / "leaderboards" / "records"
MANIFEST = json.dumps({"ddbench": "0.1.0", "preprocess": {"how": "x − mean"}, "bytes": {"images": 640}})


def info():
    return open_data("digits", None, "default", "meanstd", installed()).info


def told(record, evaluations=(), licence="CC BY 4.0 (UCI)", n=10, notes=()):
    text = card(record, evaluations, replace(info(), licence=licence), n, MANIFEST, notes, installed().methods)
    _, front, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(front), body


@pytest.mark.parametrize("name", ["digits", pytest.param("families-digits", marks=pytest.mark.slow)])
def test_the_suite_of_a_card_makes_the_set_under_its_key(name):
    """Of every row of these files, those that start from another row's set and those of other parameters included."""
    records = read_records(RECORDS / f"{name}.jsonl")
    sets = [record for record in records if record.kind == "condense" and not record.document.shared]
    rows = {(r.document.label, r.document.cell.budget): r for r in sets if r.document.cell.r == 1}
    assert len(rows) >= 6
    for record in rows.values():
        body = told(record, [r for r in records if r.kind == "evaluation" and r.document.set.key == record.key])[1]
        suite = parse(yaml.safe_load(re.search(r"```yaml\n(.*?)```", body, re.DOTALL)[1]), "card")
        plan = planner.make(grid.build(suite, installed(), profile(suite.profile)))
        assert record.key in plan.nodes, record.document.label
        assert f"`ddbench run --suite suite.yaml --threads {record.env['threads']}`" in body


@pytest.mark.parametrize(
    ("licence", "front"),
    [
        ("CC BY 4.0 (UCI)", {"license": "cc-by-4.0"}),
        ("CC BY-SA 3.0 (Yann LeCun and Corinna Cortes)", {"license": "cc-by-sa-3.0"}),
        ("MIT (Zalando SE)", {"license": "mit"}),
        ("ImageNet's terms", {"license": "other", "license_name": "ImageNet's terms"}),
        (None, {}),
    ],
)
def test_a_licence_is_told_where_it_is_known(licence, front):
    (made, _) = pair("dm")
    found, body = told(made, licence=licence)
    assert {name: value for name, value in found.items() if name.startswith("license")} == front
    assert (licence or "nobody registered what they are") in body


@pytest.mark.parametrize(("n", "size"), [(10, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (60_000, "10K<n<100K")])
def test_what_the_hub_reads(n, size):
    found, _ = told(pair("dm")[0], n=n)
    assert found["size_categories"] == [size]
    assert found["tags"] == ["dataset-distillation", "ddbench", "dm", "digits"]
    assert found["task_categories"] == ["image-classification"]


def test_a_card_says_how_students_fared_what_was_rounded_and_what_to_cite():
    made, first = pair("dm", 50.0)
    second, failed = pair("dm", 53.0, e=1)[1], pair("dm", None, e=2, status="nan")[1]
    body = told(made, [first, second, failed], notes=["pixels were rounded to 8 bits"])[1]
    assert "| hard@1 | `convnet2-w32-in` | 2 | 51.50 | 50.00, 53.00 |" in body
    assert "- Pixels were rounded to 8 bits." in body
    assert "@misc{dm2023," in body and "@misc{ddbench," in body
    assert "## Students" not in told(made)[1]


def test_a_set_made_elsewhere_has_no_command_that_makes_it():
    made, student = pair("imported", 50.0, label="theirs")
    front, body = told(made, [student])
    assert "made elsewhere" in body and "```yaml" not in body and "| method |" not in body
    assert front["pretty_name"] == "theirs, digits, ipc 1"
