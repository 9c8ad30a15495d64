"""What computed the rows of a table, where it was not one thing: code paths, numbers of threads, bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    told = _mixed(rows)
    return told and f"computed by several engines (shared artifacts count), which round differently: {told}"


def mixed_threads(observations: Sequence[Observation]) -> str:
    """``computed with several numbers of CPU threads …: sets: 1: dm; 2: datm``.

    Empty where all sets had one, and all students one: the networks of these may differ in width, and so in threads.
    """
    parts = []
    for what, place in (("sets", 0), ("students", 1)):
        rows: dict[str, set[str]] = {}
        for o in observations:
            if o.status == "ok" and (threads := o.threads[place]) is not None:
                rows.setdefault(o.row, set()).add(str(threads))
        parts += [f"{what}: {told}"] if (told := _mixed(rows)) else []
    return f"computed with several numbers of CPU threads, which round differently: {'; '.join(parts)}" if parts else ""


def _mixed(rows: Mapping[str, set[str]]) -> str:
    """``1: dm, mtt; 1 and 2: datm``: the rows of each value, or of several; empty where all have one."""
    named: dict[str, list[str]] = {}
    for row, values in rows.items():
        named.setdefault(" and ".join(sorted(values)), []).append(row)
    named.pop("", None)
    if len(named) < 2 and not any(" and " in values for values in named):
        return ""
    return "; ".join(f"{values}: {', '.join(members)}" for values, members in sorted(named.items()))


def in_bf16(observations: Sequence[Observation]) -> str:
    """``trained in bfloat16: full; experts of mtt, datm``; empty where nothing was."""
    found: dict[str, dict[str, None]] = {}
    for o in observations:
        for what in o.bf16 if o.status == "ok" else ():
            found.setdefault("" if what == "student" else f"{what} of ", {})[o.row] = None
    told = "; ".join(what + ", ".join(rows) for what, rows in sorted(found.items()))
    return told and f"trained in bfloat16: {told}"
