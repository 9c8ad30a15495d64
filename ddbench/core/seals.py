"""The seal of a record: a sum over all that its file says, by which a later edit is found. No torch.

No key is made of a row's label, of what tables say beside it, of costs or of warnings. The seal covers all of these.
Anyone can make a new seal: it tells of edits, not of who made them.
"""

from __future__ import annotations

import json
from typing import Any

from ddbench.core.keys import digest

SEAL = "seal"


def sealed(text: str, *, indent: int | None = None) -> str:
    """A record's JSON with the seal of its content, in place of one that it may have had."""
    content = json.loads(text)
    content[SEAL] = seal_of(text)
    separators = (",", ":") if indent is None else None
    return json.dumps(content, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)


def seal_of(text: str | bytes) -> str:
    """The seal of a record's JSON: the sha256 of its canonical form without the seal.

    Raises:
        ValueError: If it has no canonical form.
    """
    content = json.loads(text, parse_float=_number, object_pairs_hook=_each_once)
    content.pop(SEAL, None)
    return digest(content)


def _number(text: str) -> int | float:
    """Programs that read and write JSON make 53 of 53.0; both are one number."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name stands twice")
    return content
