"""Under which conditions a table was made, in words: data, networks, preprocessing, protocol."""

from __future__ import annotations

from ddbench.core.profiles import for_tests_only
from ddbench.core.words import plural
from ddbench.results.tables.figures import span
from ddbench.results.tables.tables import Table


def place(table: Table) -> str:
    """What results must share to stand in one table: data, architectures, preprocessing, protocol."""
    return " · ".join([conditions(table), protocol_of(table)])


def conditions(table: Table) -> str:
    """The same without the protocol."""
    setting = table.setting
    data = table.named if table.split == "default" else f"{table.named} (split {table.split})"
    student = "the same" if setting.eval_arch == setting.arch else setting.eval_arch
    networks = f"{setting.arch} → {student}"
    if not table.trains_student and setting.eval_arch == setting.arch:  # no network condensed them, either
        networks = f"→ {setting.eval_arch}"
    return f"{data} · {networks} · {table.preprocess}"


def protocol_of(table: Table) -> str:
    """``hard@2 (short: 1000 updates)``, ``krr-fc1@1 (short: kernel ridge regression, no network is trained)``."""
    profile, updates = table.setting.profile, span(updates_of(table)) if table.trains_student else ""
    untrained = ", ".join(part for part in (table.standing.regime, "no network is trained") if part)
    how = updates and plural(updates, "update") if table.trains_student else untrained
    details = "smoke: for tests only" if for_tests_only(profile) else profile or ""
    separator = ", " if for_tests_only(profile) else ": "
    details = separator.join(part for part in (details, how) if part)
    return f"{table.setting.protocol}" + (f" ({details})" if details else "")


def updates_of(table: Table) -> list[int]:
    """Updates of the students; a reference's own only where nothing else was trained."""
    cells = table.cells() or [cell for row in table.rows for cell in row.cells if cell is not None]
    return [cell.updates for cell in cells if cell.updates is not None]
