"""How the run on a results folder stands, whoever started it: from its plan, records, claims and handles alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddbench.core.errors import UsageError
from ddbench.core.keys import short
from ddbench.core.store import artifacts, jobs
from ddbench.core.store.claims import STALE_AFTER_S, Holder, holders
from ddbench.core.store.files import below, home
from ddbench.core.store.folder import CONDENSE, REMOVED, Store, lacks
from ddbench.plan.graph import PLAN
from ddbench.plan.outlook import together_s
from ddbench.work.attempt import read_log


@dataclass(frozen=True, slots=True)
class Line:
    """A node of the plan that was run last.

    Attributes:
        key: Its key.
        title: Its name.
        state: In which it was when the run began.
        reason: Why there is no result, as far as that was known then.
        forecast_s: What it was expected to take [s]; None: not known.
        steps: How many steps or updates it makes; 0: not known.
        artifact: Kind of the artifact that it builds; None: it makes a record.
    """

    key: str
    title: str
    state: str
    reason: str
    forecast_s: float | None
    steps: int
    artifact: str | None

    @property
    def wanted(self) -> bool:
        """Whether it was to be made when the run began; a reference that takes too long may turn out not to."""
        return self.state != "unmeasured"


@dataclass(frozen=True, slots=True)
class Working:
    """A node that a process works on.

    Attributes:
        line: The node.
        holder: The process.
        left_s: How long it goes on by forecast [s]; None: not known.
    """

    line: Line
    holder: Holder
    left_s: float | None

    @property
    def hangs(self) -> bool:
        """Whether its process has ended, or reported no step for long."""
        return self.holder.gone or self.holder.silent_s > STALE_AFTER_S


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the nodes of a plan are.

    Attributes:
        total: How many there are, without those that were not needed or not measured.
        done: With a result.
        failed: Without one: the node and the reason.
        working: That processes work on, or did when they ended.
        handed: Jobs at an engine, and how many of their nodes wait there.
        waiting: That nobody has, or a process that has ended.
        left_s: When all is done by forecast, if as many processes go on as work now [s]; None: of no node that is left
            anything is known.
        unknown: Of how many nodes that are left nothing is known.
    """

    total: int
    done: int
    failed: Sequence[tuple[Line, str]]
    working: Sequence[Working]
    handed: Sequence[tuple[jobs.Handle, int]]
    waiting: int
    left_s: float | None
    unknown: int

    @property
    def running(self) -> int:
        """Nodes whose process is not known to have ended."""
        return sum(not one.holder.gone for one in self.working)


@dataclass
class Watched:
    """A results folder that is looked at again and again: each record is read once.

    Attributes:
        out: The folder.
        now: Seconds since 1970.
    """

    out: Path
    now: Callable[[], float] = time.time
    _seen: dict[Path, tuple[int, str, str]] = field(default_factory=dict)

    def look(self) -> Standing:
        """How it stands now.

        Raises:
            UsageError: If no run was ever started there.
        """
        ended = self._ended()
        store = Store(self.out)
        held = holders(store.claims(shared=False)) | holders(store.claims(shared=True))
        lines = [line for line in plan_of(self.out) if line.wanted or short(line.key) in ended.keys() | held.keys()]
        done, failed, working, open_ = 0, [], [], []
        for line in lines:
            status, reason = self._of(line, ended)
            holder = held.get(short(line.key))
            if status == "ok":
                done += 1
            elif holder is not None and not holder.waits:
                working.append(Working(line, holder, self._left(line, holder)))
            elif status in ("", "timeout"):
                open_.append(line)
            else:
                failed.append((line, reason))
        keys = {line.key for line in open_}
        handles = [one for one in jobs.handles(self.out) if one.outlives or not jobs.submitter_ended(one)]
        handed = [(one, n) for one in handles if (n := len(keys & one.nodes.keys()))]
        there = set().union(*(one.nodes for one, _ in handed)) if handed else set()
        lost = sum(one.holder.gone for one in working)
        lefts = [one.left_s for one in working] + [line.forecast_s for line in open_]
        known = [seconds for seconds in lefts if seconds is not None]
        return Standing(
            total=len(lines), done=done, failed=failed, working=working, handed=handed,
            waiting=len(keys - there) + lost, unknown=len(lefts) - len(known),
            left_s=None if lefts and not known else together_s(known, max(1, len(working) - lost)),
        )  # fmt: skip

    def _left(self, line: Line, holder: Holder) -> float | None:
        """How long a node goes on [s]: by its own steps where it has told several and these are all, else by forecast.

        A node may count several things one after the other, such as the students of each learning rate: what is left
        of one of them is the least that is left.
        """
        gone = None if holder.since is None else max(0.0, self.now() - holder.since)
        expected = line.forecast_s
        if expected is not None and gone is not None and not holder.gone:
            expected = max(0.0, expected - gone)
        if holder.left_s is None or holder.at is None or holder.gone:
            return expected
        counted = max(0.0, holder.left_s - holder.silent_s)
        return counted if expected is None or holder.at[1] == line.steps else max(counted, expected)

    def _of(self, line: Line, ended: dict[str, tuple[str, str]]) -> tuple[str, str]:
        """Status and reason of a node's result; empty where there is none."""
        if line.artifact is not None:
            folder = artifacts.folder_of(line.artifact, line.key)
            log = read_log(folder.with_suffix(".log"))
            return ("ok", "") if (folder / artifacts.MANIFEST).is_file() else ("failed" if log else "", first(log))
        without = ("failed", line.reason) if line.state == "failed" else ("", "")
        return ended.get(short(line.key), without)

    def _ended(self) -> dict[str, tuple[str, str]]:
        """Status and reason of all records below the folder and the shared one, by short keys."""
        store, found = Store(self.out), {}
        for root in (self.out, home() / "artifacts"):
            for name in (CONDENSE, "eval/*.json"):
                for path in below(root, name):
                    if REMOVED not in path.parts:
                        key = path.parent.name if name == CONDENSE else path.stem
                        found[key] = self._read(store, path)
        return found

    def _read(self, store: Store, path: Path) -> tuple[str, str]:
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return "", ""
        known = self._seen.get(path)
        if known is None or known[0] != written:
            record = store.read(path, keep=True)
            known = (written, "", "") if record is None else (written, record.status, record.reason or record.status)
            self._seen[path] = known
        return known[1:]


def plan_of(out: Path) -> list[Line]:
    """The nodes of the plan that was run last in a folder, without those that nobody needs.

    Raises:
        UsageError: If there is none that can be read.
    """
    try:
        rows = [json.loads(text) for text in (out / PLAN).read_text().splitlines()]
        return [line for row in rows if (line := _line(row)) is not None]
    except FileNotFoundError:
        raise UsageError(f"{lacks(out, 'plan of a run')}: `ddbench run --out {out} …` starts a run") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{out / PLAN}: cannot be read ({error}); the same `ddbench run` writes it again") from None


def _line(row: dict[str, Any]) -> Line | None:
    if row["kind"] == "skip" or row["state"] == "unneeded":
        return None
    later = row.get("forecast_s"), row.get("steps", 0), row.get("artifact")
    return Line(row["key"], row["title"], row["state"], row["reason"] or "", *later)


def first(log: str) -> str:
    """The line of a log that says why."""
    return log.partition("\n")[0]
