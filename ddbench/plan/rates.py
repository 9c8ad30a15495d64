"""Paces that outlive a results folder: measured on this machine, on others of the same home, or shipped with ddbench.

A file of rates is about one machine. Its first line names that machine and what the probe takes there
(:mod:`ddbench.core.machine`); each further line has the paces of a kind. What was measured on another machine is scaled
by the probes of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from ddbench.core.documents import ArtifactDocument
from ddbench.core.errors import StoreError
from ddbench.core.machine import Machine, probe_s, this_machine
from ddbench.core.store import artifacts
from ddbench.core.store.files import atomic_write, home
from ddbench.plan.graph import Node
from ddbench.plan.kinds import Kind, size_of, where_of
from ddbench.plan.speeds import Layer, Pace, middle, own_kinds, pace_of

KEPT = 5
"""Paces of a kind and size that are kept, the last ones."""
SHIPPED = "rates.jsonl"
"""File beside this module: made by ``python -m benchmarks.rates``."""


@dataclass(slots=True)
class Rates:
    """A file of rates.

    Attributes:
        machine: Where these were measured.
        probe_s: What the probe takes there [s]; None: it was not asked yet.
        about: What else the first line says.
        seen: Kind → size → the last paces, the newest at the end.
        origins: Kind → size → from where its pace is, where that needs saying.
    """

    machine: Machine = field(default_factory=Machine)
    probe_s: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    seen: dict[Kind, dict[float, list[Pace]]] = field(default_factory=dict)
    origins: dict[Kind, dict[float, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Rates:
        """The rates in a text; a line that says none is left out: what is lost is measured again."""
        found = cls()
        for i, line in enumerate(text.splitlines()):
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                content = json.loads(line)
                if i == 0:
                    found.about = dict(content)
                    found.machine = Machine.model_validate(found.about.pop("machine"))
                    found.probe_s = found.about.pop("probe_s")
                else:
                    found._take(content)
        return found

    @classmethod
    def read(cls, path: Path) -> Rates:
        """The rates in a file; none where it cannot be read."""
        try:
            return cls.of(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return cls()

    def _take(self, content: Mapping[str, Any]) -> None:
        kind = tuple(map(str, content["kind"]))
        for size, paces in content["paces"].items():
            for before, step in paces:
                self.add(kind, float(size), (float(before), float(step)))
        if "from" in content:
            self.origins[kind] = {float(size): str(origin) for size, origin in content["from"].items()}

    def add(self, kind: Kind, size: float, pace: Pace) -> None:
        """Keep a pace, and forget the oldest one of that size when there are enough."""
        seen = self.seen.setdefault(kind, {}).setdefault(size, [])
        seen.append(pace)
        del seen[:-KEPT]

    def paces(self, kind: Kind) -> Mapping[float, Pace]:
        """As :class:`ddbench.plan.speeds.Layer` says: medians."""
        return {size: middle(paces) for size, paces in self.seen.get(kind, {}).items()}

    @property
    def text(self) -> str:
        """What :meth:`of` reads."""
        lines: list[Any] = [{"machine": self.machine.model_dump(), "probe_s": self.probe_s, **self.about}]
        for kind, sizes in sorted(self.seen.items()):
            paces = {f"{size:g}": [[_short(one) for one in pace] for pace in sizes[size]] for size in sorted(sizes)}
            origins = {f"{size:g}": origin for size, origin in sorted(self.origins.get(kind, {}).items())}
            lines.append({"kind": kind, "paces": paces} | ({"from": origins} if origins else {}))
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _short(seconds: float) -> float:
    return float(f"{seconds:.3g}")


def shipped() -> Rates:
    """The rates that come with ddbench."""
    try:
        return Rates.of((files("ddbench.plan") / SHIPPED).read_text(encoding="utf-8"))
    except OSError:
        return Rates()


@dataclass(frozen=True, slots=True)
class Scaled:
    """Rates of another machine as they are on this one; of CPUs alone: no probe compares GPUs.

    Attributes:
        rates: Those of the other machine.
        probe_s: What the probe takes on this one [s], or None.
    """

    rates: Rates
    probe_s: Callable[[], float | None]

    def paces(self, kind: Kind) -> Mapping[float, Pace]:
        """As :class:`ddbench.plan.speeds.Layer` says."""
        found = self.rates.paces(kind) if kind[-1].startswith("cpu") else {}
        there, here = self.rates.probe_s, self.probe_s() if found else None
        if there is None or here is None:
            return {}
        return {size: (before * here / there, step * here / there) for size, (before, step) in found.items()}


class Kept:
    """The rates in ``$DDBENCH_HOME/rates``: a file for each machine, this one's by its own name.

    What cannot be written is not kept, and nobody is troubled.
    """

    def __init__(self) -> None:
        self.folder = home() / "rates"
        self.machine = this_machine()
        self.path = self.folder / f"{self.machine.slug}.jsonl"

    @cached_property
    def own(self) -> Rates:
        """Those of this machine."""
        return self._read()

    def _read(self) -> Rates:
        found = Rates.read(self.path)
        return found if found.machine == self.machine else Rates(self.machine)

    def probe_s(self) -> float | None:
        """What the probe takes on this machine [s]; it runs once, when that is asked for the first time."""
        if self.own.probe_s is None and (found := self._probe):
            self.own.probe_s = float(f"{found:.3g}")
            self._write(self.own)
        return self.own.probe_s

    @cached_property
    def _probe(self) -> float | None:
        return probe_s()

    def layers(self) -> list[Layer]:
        """What is known, the nearest first: of this machine, of others in this home, and what was shipped."""
        others = sorted(path for path in self.folder.glob("*.jsonl") if path != self.path)
        return [self.own, *(Scaled(rates, self.probe_s) for rates in (*map(Rates.read, others), shipped()))]

    def learn(self, nodes: Iterable[Node]) -> None:
        """Keep the paces of nodes that this machine has finished, beside what other runs kept meanwhile."""
        found = self._read()
        before = found.text
        for node in nodes:
            _learn(found, node)
        if found.text != before:
            found.probe_s = found.probe_s or self.probe_s()
            self._write(found)

    def _write(self, rates: Rates) -> None:
        with suppress(OSError, StoreError):
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, rates.text.encode(), durable=False)


def _learn(rates: Rates, node: Node) -> None:
    """Add what a finished node says of its kind."""
    document = node.document
    if isinstance(document, ArtifactDocument):
        content = artifacts.manifest(document.artifact.kind, document.key)
        if content is None:
            return
        env, threads = content["env"], max(1, int(content["env"].get("threads", 1)))
        cpu = artifacts.seconds_of(content, "cpu") if env.get("device") != "cuda" else None
        pace: Pace | None = (0.0, content["cost"]["seconds"] if cpu is None else cpu / threads)
    elif node.record is not None:
        env, pace = node.record.env, pace_of(node.record, quiet=True)
    else:
        return
    if pace is not None:
        for kind in own_kinds(document, where_of(env)):
            rates.add(kind, size_of(document), pace)
