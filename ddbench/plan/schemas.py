"""JSON schemas of suites and tuning files, for editors: ``python -m ddbench.plan.schemas docs/reference``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddbench.core.specs import Frozen
from ddbench.plan import suite, tuning

_FIELD = re.compile(r"^    (\w+): (.+(?:\n        .+)*)", re.MULTILINE)

DOCUMENTS: Mapping[str, tuple[type[Frozen], Mapping[str, type[Frozen]]]] = {
    "suite": (suite.Suite, suite.LEVELS), "tuning": (tuning.TuningFile, suite.LEVELS | tuning.LEVELS),
}  # fmt: skip
"""What a document is, and what stands below its keys, by the name of its file ``NAME.schema.json``."""


def schema(name: str) -> dict[str, Any]:
    """What a document may hold, short forms included (``methods: [dm]``), with the descriptions of the models' fields.

    Args:
        name: One of :data:`DOCUMENTS`.
    """
    model, levels = DOCUMENTS[name]
    found = model.model_json_schema(by_alias=True)
    models = {one.__name__: one for one in (model, *levels.values())}
    for part in (found, *found["$defs"].values()):
        _describe(part, models[part["title"]])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": f"ddbench {name}"}


def _describe(part: dict[str, Any], model: type[Frozen]) -> None:
    """Put what a model's docstring says, and of inherited fields those of its bases, into its schema."""
    said: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text, _, attributes = (one.__doc__ or "").partition("\n\n    Attributes:\n")
        said |= {
            field: _plain(what) for field, what in _FIELD.findall(re.sub("^    ", "", attributes, flags=re.MULTILINE))
        }
    part["description"] = _plain(text)
    for name, field in model.model_fields.items():
        found = part["properties"][field.alias or name]
        found.pop("title", None)
        if name in said:
            found["description"] = said[name]


def _plain(text: str) -> str:
    return re.sub(r":\w+:`[\w.]*?(\w+)`", r"\1", re.sub(r"\s+", " ", text)).replace("``", "").strip()


def text(name: str) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for one in DOCUMENTS:
        Path(sys.argv[1], f"{one}.schema.json").write_text(text(one), encoding="utf-8")
