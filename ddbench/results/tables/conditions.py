"""Under which conditions a table was made, in words: data, networks, preprocessing, protocol."""

from __future__ import annotations

from ddbench.core.profiles import for_tests_only
from ddbench.results.tables.figures import plural, span
from ddbench.results.tables.tables import Table


def place(table: Table) -> str:
    """What results must share to stand in one table: data, architectures, preprocessing, protocol."""
    return " · ".join([conditions(table), protocol_of(table)])


def conditions(table: Table) -> str:
    """The same without the protocol."""
    setting = table.setting
    data = table.named if table.split == "default" else f"{table.named} (split {table.split})"
    student = "the same" if setting.eval_arch == setting.arch else setting.eval_arch
    return f"{data} · {setting.arch} → {student} · {table.preprocess}"


def protocol_of(table: Table) -> str:
    """``hard@2 (short: 1000 updates)``."""
    profile, updates = table.setting.profile, span(updates_of(table)) if table.trains_student else ""
    details = "smoke: for tests only" if for_tests_only(profile) else profile or ""
    separator = ", " if for_tests_only(profile) else ": "
    details = separator.join(part for part in (details, updates and plural(updates, "update")) if part)
    return f"{table.setting.protocol}" + (f" ({details})" if details else "")


def updates_of(table: Table) -> list[int]:
    """Updates of the students; a reference's own only where nothing else was trained."""
    cells = table.cells() or [cell for row in table.rows for cell in row.cells if cell is not None]
    return [cell.updates for cell in cells if cell.updates is not None]
