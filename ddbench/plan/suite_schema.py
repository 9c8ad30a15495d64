"""The JSON schema of suites, for editors: ``python -m ddbench.plan.suite_schema docs/reference/suite.schema.json``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from ddbench.plan.suite import Suite

_FIELD = re.compile(r"^    (\w+): (.+(?:\n        .+)*)", re.MULTILINE)


def schema() -> dict[str, Any]:
    """What a suite may hold, short forms included (``methods: [dm]``), with the descriptions of the models' fields."""
    found = Suite.model_json_schema(by_alias=True)
    for model in (found, *found["$defs"].values()):
        text, _, attributes = model.get("description", "").partition("\n\nAttributes:\n")
        model["description"] = _plain(text)
        said = {name: _plain(what) for name, what in _FIELD.findall(attributes)}
        for name, field in model["properties"].items():
            field.pop("title", None)
            if what := said.get("schema_version" if name == "schema" else name):
                field["description"] = what
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "ddbench suite"}


def _plain(text: str) -> str:
    return re.sub(r":\w+:`[\w.]*?(\w+)`", r"\1", re.sub(r"\s+", " ", text)).replace("``", "").strip()


def text() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
