"""The commands that pages name make the records that the pages show: today's plan has their very keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ddbench.report.jsonl import read_records
from tests.unit.test_plan import planned

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "leaderboards" / "records"

COMMANDS = {
    "digits": {"methods": ["random", "kmeans", "herding", "dm"], "budget": {"ipc": [1, 10]}},
    "digits-cross-arch": yaml.safe_load((ROOT / "configs" / "cross-arch.yaml").read_text(encoding="utf-8")),
    "digits-trajectory": {"methods": ["datm", "mtt", "random"], "budget": {"ipc": [1, 10, 500]}},
    "digits-augmentation": {
        **yaml.safe_load((ROOT / "configs" / "augmentation.yaml").read_text(encoding="utf-8")),
        "datasets": ["digits"], "archs": ["convnet2-w32"],
    },
}  # fmt: skip
"""Records of data that every machine has → what the page that shows them says was run."""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_of_a_page_plans_the_sets_and_students_that_it_shows(name):
    content = {key: value for key, value in COMMANDS[name].items() if key != "schema"}
    nodes = set(planned(**content, profile="short").nodes)
    records = [record for record in read_records(RECORDS / f"{name}.jsonl") if record.key]
    assert records
    odd = {record.spec.get("label") for record in records if record.key not in nodes}
    assert not odd, f"today's code makes other sets or students for {sorted(map(str, odd))}: run the command again"
