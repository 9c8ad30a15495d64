"""What opens behind a number of the page: its repetitions, parameters, keys, environments and commands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ddbench.core.keys import canonical, short
from ddbench.core.records import Cost, Record
from ddbench.core.specs import Budget
from ddbench.core.words import plural
from ddbench.publish.views.columns import HEADERS
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.figures import NONE, compact, fixed
from ddbench.results.tables.observations import Observation, Setting
from ddbench.results.tables.tables import BudgetColumn, Row, Table

Place = tuple[Setting, str, Budget | None]
"""Table, row and budget of a cell; a reference has no budget."""


@dataclass(slots=True)
class Pool:
    """Texts that many cells share (parameters, environments), each stored once and named by its number."""

    items: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def number(self, item: Any) -> int:
        """The number of an item, new or known."""
        return self.items.setdefault(canonical(item), (len(self.items), item))[0]

    def values(self) -> list[Any]:
        """All items, by number."""
        return [item for _, item in self.items.values()]


def cell_id(place: Place) -> str:
    """Id of a cell, for links: the same as long as its table, row and budget are called the same."""
    setting, label, budget = place
    where = [setting.data, setting.protocol, setting.arch, setting.eval_arch, setting.profile]
    return "c" + _digest([*where, label, None if budget is None else budget.key()])


def table_id(setting: Setting) -> str:
    """Id of a table, for links."""
    return "t" + _digest([setting.data, setting.protocol, setting.arch, setting.eval_arch, setting.profile])


def _digest(document: Any) -> str:
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:10]


@dataclass(slots=True)
class Panels:
    """Makes the panels of cells.

    Attributes:
        evaluations: Evaluation records by key.
        observations: By place, in the order of repetitions and students.
        parameters: Resolved parameters that cells share.
        environments: Versions and machines that cells share.
    """

    evaluations: Mapping[str, Record]
    observations: Mapping[Place, Sequence[Observation]]
    parameters: Pool = field(default_factory=Pool)
    environments: Pool = field(default_factory=Pool)

    def panel(self, table: Table, where: str, row: Row, column: BudgetColumn | None, cell: Cell) -> dict[str, Any]:
        """Everything known of one cell, as texts: the script only places them."""
        members = self.observations[table.setting, row.label, None if column is None else column.budget]
        marks = sorted({*row.marks, *cell.marks})
        return {
            "title": f"{row.shown_label} · {'all images' if column is None else column.label}",
            "where": where,
            "facts": _facts(row, cell),
            "tables": [_repetitions(members), *_sets(members), *_inside(cell)],
            "notes": [table.footnotes[mark - 1] for mark in marks],
            "set": _named(row.label, members[0].recipe),
            "params": self.parameters.number(_parameters(members[0].recipe)),
            "envs": sorted({self.environments.number(text) for text in self._machines(members)}),
            "commands": _commands(table, row, column, members),
        }

    def _machines(self, members: Iterable[Observation]) -> Iterable[str]:
        for member in members:
            for record in (member.condensation, self.evaluations.get(member.key)):
                if record is not None and record.env:
                    yield _machine(record.env)


def _facts(row: Row, cell: Cell) -> list[list[str]]:
    found = cell.summary
    facts = [["kind", row.kind], ["source", row.source]]
    if found is None:
        return [*facts, ["result", f"none: {cell.status}" + (f", {cell.reason}" if cell.reason else "")]]
    score = f"{found.mean:.2f} %" + (f" ± {found.sd:.2f} (sd)" if found.sd is not None else "")
    facts.append(["mean over repetitions", score])
    if found.half_width is not None:
        low, high = found.mean - found.half_width, found.mean + found.half_width
        facts.append(["95 % interval of the mean", f"{fixed(low, 2)} – {fixed(high, 2)} % (t, n = {found.n})"])
    planned = "" if cell.complete else f" of {cell.planned}; the others: {cell.status}, {cell.reason}"
    facts.append(["repetitions with a result", f"{found.n}{planned}"])
    if cell.bold:
        facts.append(["bold", "not worse than the best of its column, as far as the repetitions can tell"])
    if cell.rank is not None:
        facts.append(["place among the methods of its column", "–".join(map(str, dict.fromkeys(cell.rank)))])
    if cell.updates is not None:
        facts.append(["updates of a student", str(cell.updates)])
    return facts


def _repetitions(members: Sequence[Observation]) -> dict[str, Any]:
    head = ["repetition", "student", "test top-1 %", "train + test wall s, no search", "evaluation"]
    rows = [
        [
            str(o.r), str(o.e), o.status if o.top1 is None else f"{o.top1:.2f}",
            NONE if o.top1 is None else compact(o.train["wall"]), short(o.key) or NONE,
        ]
        for o in members
    ]  # fmt: skip
    return {"caption": "Repetitions and students", "head": head, "rows": rows}


def _sets(members: Sequence[Observation]) -> list[dict[str, Any]]:
    made = {o.condensation.key: (o.r, o.condensation) for o in members if o.condensation is not None}
    rows = []
    for r, record in made.values():
        cost = record.cost
        if record.document.set.shared or record.status != "ok":
            continue
        busy = " †" if cost.contended else ""
        rows.append([
            str(r), short(record.key), str(cost.steps), _cpu(cost), compact(cost.prepare_s + cost.condense_s) + busy,
            compact(cost.artifact_s), compact(cost.peak_mb) if cost.peak_mb or cost.peak_from else NONE,
            compact(sum(cost.bytes.values())), record.finished[:10],
        ])  # fmt: skip
    costs = [HEADERS[name] for name in ("condense_cpu_s", "condense_s", "artifact_s", "peak_mb", "bytes")]
    head = ["repetition", "set", "steps", *costs, "made on"]
    return [{"caption": "The sets", "head": head, "rows": rows}] if rows else []


def _cpu(cost: Cost) -> str:
    return NONE if cost.cpu is None else compact(cost.cpu.prepare_s + cost.cpu.condense_s)


def _inside(cell: Cell) -> list[dict[str, Any]]:
    rows = [[name, f"{value:.4g}"] for name, value in cell.details.items()]
    caption = "Inside the method (means over repetitions)"
    return [{"caption": caption, "head": ["quantity", "value"], "rows": rows}] if rows else []


def _parameters(recipe: Mapping[str, Any]) -> list[list[str]]:
    return [[name, value if isinstance(value, str) else canonical(value)] for name, value in sorted(recipe.items())]


def _named(label: str, recipe: Mapping[str, Any]) -> list[str]:
    """Parameters that the row's label names: those in which the run, or this variant, differs from its preset."""
    return [name for name in re.findall(r"([\w.]+)=", label) if name in recipe]


def _machine(env: Mapping[str, Any]) -> str:
    """``ddbench 0.1.0 (git 3e22ac8) · torch 2.14.1 · python 3.11.7 · cpu, 2 threads of 2 cores, x86_64``."""
    git = f" (git {env['git']})" if env.get("git") else ""
    parts = [f"ddbench {env.get('ddbench', '?')}{git}"]
    parts += [f"{name} {env[name]}" for name in ("torch", "python", "engine") if env.get(name)]
    if env.get("plugin"):
        parts.append(f"plugin {env['plugin']}")
    foreign = [part for part in ("data", "protocol", "arch") if env.get(part, "ddbench").split()[0] != "ddbench"]
    parts += [f"{part} {env[part]}" for part in foreign]
    machine = [str(env.get("device", "?"))]
    if env.get("threads"):
        machine.append(
            plural(env["threads"], "thread") + (f" of {plural(env['cores'], 'core')}" if env.get("cores") else "")
        )
    return " · ".join([*parts, ", ".join([*machine, *([str(env["machine"])] if env.get("machine") else [])])])


def _commands(table: Table, row: Row, column: BudgetColumn | None, members: Sequence[Observation]) -> list[list[str]]:
    """What a reader can type: check the stored set, or make the cell again where options alone can say it."""
    commands = []
    key = next((o.set_key for o in members if o.condensation is not None and o.top1 is not None), "")
    if key and not row.spans:
        commands.append(["check the stored set (where the results folder is)", f"ddbench results verify {short(key)}"])
    again = _again(table, row, column, members)
    several = len(_threads(members)) > 1
    what = "make it again (its records mix numbers of threads: some come out with other last digits)"
    return [*commands, [what if several else "make it again", again]] if again else commands


def _threads(members: Sequence[Observation]) -> list[int]:
    """The numbers of CPU threads that sets and students had, ascending."""
    return sorted({number for o in members for number in o.threads if number is not None})


def _again(table: Table, row: Row, column: BudgetColumn | None, members: Sequence[Observation]) -> str:
    """``ddbench run …``; empty where a view, an override or a control would need more than options."""
    cell = next((o.condensation.document.cell for o in members if o.condensation is not None), None)
    if cell is None or row.label != row.method or cell.data.view or column is None or row.source != "measured":
        return ""
    setting, budget = table.setting, column.budget
    size = f"--ipc {budget.ipc}" if budget.ipc is not None else f"--fraction {budget.fraction:g}"
    parts = ["ddbench run", f"--methods {row.method}", f"--datasets {cell.data.name}", size]
    arch, student = (str(name).partition(" ")[0] for name in (setting.arch, setting.eval_arch))
    parts += [f"--archs {arch}", f"--protocols {(setting.protocol or '').partition('@')[0]}"]
    if student != arch:
        parts.append(f"--eval-archs {student}")
    if table.preprocess != "meanstd":
        parts.append(f"--preprocess {table.preprocess}")
    if table.split != "default":
        parts.append(f"--split {table.split}")
    repetitions, students = len({o.r for o in members}), len({o.e for o in members})
    parts += [f"--profile {setting.profile}"] if setting.profile else []
    parts += [f"--seeds {repetitions}", f"--eval-seeds {students}"]
    return " ".join([*parts, *(f"--threads {number}" for number in _threads(members)[-1:])])
