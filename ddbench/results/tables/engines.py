"""Which code paths computed the rows of a table, where there are several, and what they trained in bfloat16."""

from __future__ import annotations

from collections.abc import Sequence

from ddbench.results.tables.observations import Observation


def mixed_engines(observations: Sequence[Observation]) -> str:
    """``computed by several engines …: eager: random; fused: dm``; empty where one computed all.

    A row whose set one of them made and another one's students were trained on stands under ``eager and fused``. What
    ``bf16`` trained is told by :func:`in_bf16`.
    """
    rows: dict[str, set[str]] = {}
    for o in observations:
        if o.status == "ok" and o.source == "measured":
            rows.setdefault(o.row, set()).update(set(o.engines) - {"bf16"})
    named: dict[str, list[str]] = {}
    for row, engines in rows.items():
        named.setdefault(" and ".join(sorted(engines)), []).append(row)
    named.pop("", None)
    if len(named) < 2 and not any(" and " in engines for engines in named):
        return ""
    told = (f"{engines}: {', '.join(members)}" for engines, members in sorted(named.items()))
    return f"computed by several engines (shared artifacts count), which round differently: {'; '.join(told)}"


def in_bf16(observations: Sequence[Observation]) -> str:
    """``trained in bfloat16: full; experts of mtt, datm``; empty where nothing was."""
    found: dict[str, dict[str, None]] = {}
    for o in observations:
        for what in o.bf16 if o.status == "ok" else ():
            found.setdefault("" if what == "student" else f"{what} of ", {})[o.row] = None
    told = "; ".join(what + ", ".join(rows) for what, rows in sorted(found.items()))
    return told and f"trained in bfloat16: {told}"
