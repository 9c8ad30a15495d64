"""The commands that pages name make the records that the pages show: today's plan has their very keys.

Records of other versions of ddbench's parts, or of other settings, wait for new runs, and their page says so.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ddbench.core.store.jsonl import read_records
from ddbench.publish.page.board import marker_of, parse
from ddbench.publish.page.tiles import beside, read_pictures
from ddbench.results.tables.observations import observe
from ddbench.results.tables.versions import outdated
from tests.unit.plan.test_planner import planned

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "leaderboards" / "records"

COMMANDS = {
    "digits": {"methods": ["random", "kmeans", "herding", "dm"], "budget": {"ipc": [1, 10]}},
    "digits-cross-arch": yaml.safe_load((ROOT / "configs" / "cross-arch.yaml").read_text(encoding="utf-8")),
    "digits-trajectory": {"methods": ["datm", "mtt", "random"], "budget": {"ipc": [1, 10, 500]}},
    "digits-lossless": yaml.safe_load((ROOT / "configs" / "lossless.yaml").read_text(encoding="utf-8")),
    "cpu-digits": {
        **yaml.safe_load((ROOT / "configs" / "cpu.yaml").read_text(encoding="utf-8")), "datasets": ["digits"],
    },
    "digits-augmentation": {
        **yaml.safe_load((ROOT / "configs" / "augmentation.yaml").read_text(encoding="utf-8")),
        "datasets": ["digits"], "archs": ["convnet2-w32"],
    },
}  # fmt: skip
"""Records of data that every machine has → what the page that shows them says was run."""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_of_a_page_plans_the_sets_and_students_that_it_shows(name):
    content = {key: value for key, value in COMMANDS[name].items() if key != "schema"}
    nodes = planned(**content, profile="short").nodes
    records = [record for record in read_records(RECORDS / f"{name}.jsonl") if record.key]
    assert records
    waiting = {key for one in observe(records) if outdated([one]) for key in (one.key, one.set_key)}
    odd = {record.document.label for record in records if record.key not in nodes.keys() | waiting}
    assert not odd, f"today's code makes other sets or students for {sorted(map(str, odd))}: run the command again"


@pytest.mark.parametrize("page", sorted((ROOT / "leaderboards").glob("*.html")), ids=lambda page: page.name)
def test_the_pictures_beside_records_are_those_of_their_sets(page):
    """Else the page would leave them out: `ddbench results export … --pictures` writes both together."""
    wanted = parse(marker_of(page.read_text(encoding="utf-8")), page)
    made = {(one.key, one.set_sha256): one for path in wanted.records for one in read_records(path)}
    pictures = [picture for path in wanted.records for picture in read_pictures(beside(path))]
    assert pictures
    odd = {picture.key for picture in pictures if (picture.key, picture.set_sha256) not in made}
    assert not odd
    drawn = {made[picture.key, picture.set_sha256].document.cell.method for picture in pictures}
    distillers = {
        one.document.cell.method
        for one in made.values()
        if one.kind == "condense" and one.status == "ok" and one.document.cell.params.get("iterations")
    }
    assert distillers <= drawn
