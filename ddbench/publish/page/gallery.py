"""The pictures of a page: for each data set and budget, a card per method with its states in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddbench.core.records import Record
from ddbench.core.roles import Role
from ddbench.core.specs import Budget
from ddbench.publish.page.panels import Place, cell_id
from ddbench.publish.page.tiles import Picture
from ddbench.results.tables.observations import Observation
from ddbench.results.tables.tables import Row, Table


@dataclass(frozen=True, slots=True)
class Frame:
    """One state: its step, how it is called, and the picture."""

    step: int
    name: str
    picture: Picture


def galleries(
    tables: Sequence[Table], observations: Mapping[Place, Sequence[Observation]], pictures: Iterable[Picture]
) -> list[dict[str, Any]]:
    """A gallery per data set, architecture and budget that has pictures; a set appears once, at its first table."""
    states: dict[tuple[str, str], dict[int, Picture]] = {}
    for picture in pictures:
        states.setdefault((picture.key, picture.set_sha256), {})[picture.step] = picture
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    seen: set[str] = set()
    for table in tables:
        for index, column in enumerate(table.columns):
            for row in table.rows:
                place = (table.setting, row.label, column.budget)
                record = None if row.spans or row.cells[index] is None else _first(observations.get(place, ()))
                if record is None or record.key in seen:
                    continue
                frames = _frames(record, states, _first(_start_of(row, table, observations, column.budget)))
                if not frames:
                    continue
                seen.add(record.key)
                arch = table.setting.arch
                gallery = found.setdefault(
                    (table.setting.data, arch, column.budget),
                    {"dataset": table.named, "arch": arch, "preprocess": table.preprocess, "budget": column.label,
                     "cards": []},
                )  # fmt: skip
                gallery["cards"].append(
                    {"label": row.shown_label, "kind": row.kind, "cell": cell_id(place), "frames": frames}
                )
    return list(found.values())


def _first(members: Iterable[Observation]) -> Record | None:
    """The record of the set of repetition 0."""
    return next((o.condensation for o in members if o.r == 0 and o.condensation is not None), None)


def _start_of(
    row: Row, table: Table, observations: Mapping[Place, Sequence[Observation]], budget: Budget
) -> Sequence[Observation]:
    """The sets that those of a row began with, if they are a row of their own."""
    start = next((other.label for other in table.rows if other.role == Role("start", (row.label,))), None)
    return () if start is None else observations.get((table.setting, start, budget), ())


def _frames(
    record: Record, states: Mapping[tuple[str, str], Mapping[int, Picture]], start: Record | None
) -> list[Frame]:
    """States in order; the first is the set of the row with 0 steps, if there is one: where optimisation began."""
    own = states.get((record.key, record.set_sha256 or ""), {})
    if not own:
        return []
    frames = [Frame(step, f"step {step}", picture) for step, picture in sorted(own.items())]
    begun = {} if start is None else states.get((start.key, start.set_sha256 or ""), {})
    if begun and frames[0].step > 0:
        frames.insert(0, Frame(0, "step 0 (start)", begun[max(begun)]))
    return frames
