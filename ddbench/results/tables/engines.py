"""Which code paths computed the rows of a table, where there are several."""

from __future__ import annotations

from collections.abc import Sequence

from ddbench.results.tables.observations import Observation


def mixed_engines(observations: Sequence[Observation]) -> str:
    """``by several engines, which round differently: eager: random; fused: dm``; empty where one computed all.

    A row whose set one of them made and another one's students were trained on stands under ``eager and fused``.
    """
    rows: dict[str, set[str]] = {}
    for o in observations:
        if o.status == "ok" and o.source == "measured":
            rows.setdefault(o.row, set()).update(o.engines)
    named: dict[str, list[str]] = {}
    for row, engines in rows.items():
        named.setdefault(" and ".join(sorted(engines)), []).append(row)
    named.pop("", None)
    if len(named) < 2 and not any(" and " in engines for engines in named):
        return ""
    told = (f"{engines}: {', '.join(members)}" for engines, members in sorted(named.items()))
    return f"computed by several engines, which round differently: {'; '.join(told)}"
