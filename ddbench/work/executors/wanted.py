"""What ``--resources`` and ``--store`` say of nodes that run on a cluster. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError, model_validator

from ddbench.core.durations import seconds_of
from ddbench.core.errors import UsageError, in_words
from ddbench.core.names import nearest
from ddbench.core.specs import Frozen

SLURM = "slurm_"
"""How words begin that are handed on to Slurm as they are."""


class Wanted(Frozen):
    """What nodes on a cluster get, and what is said to the engine behind the executor; None: by forecast.

    Attributes:
        cpus: Cores of a job, or of a task; also the CPU threads of wide networks, where ``--threads`` says nothing.
        gpus: GPUs of a job, or of a task. [1 with ``--device cuda``, else 0]
        mem_mb: Memory [MB].
        time_s: Longest time of a job [s]; a job that reaches it is queued again and goes on from its checkpoint.
        pack_s: Nodes are packed into jobs worth so many seconds by forecast.
        partition: Slurm's.
        account: Slurm's.
        address: Of a Ray cluster; None: what ``RAY_ADDRESS`` says, else a cluster on this machine for this run.
        store: ``shared``: all machines see the results folder and ``DDBENCH_HOME``; ``driver``: Ray's workers see
            neither, so files are sent there and back.
        slurm: Further options of ``sbatch``, by their names with underscores.
    """

    cpus: PositiveInt | None = None
    gpus: NonNegativeInt | None = None
    mem_mb: PositiveFloat | None = Field(None, alias="mem")
    time_s: PositiveFloat | None = Field(None, alias="time")
    pack_s: float = Field(600.0, alias="pack", ge=0)
    partition: str | None = None
    account: str | None = None
    address: str | None = None
    store: Literal["shared", "driver"] = "shared"
    slurm: Mapping[str, str] = {}

    @property
    def said(self) -> list[str]:
        """The words that say something else than nothing: ``cpus``, ``time``, ``slurm``, ``store``."""
        fields = type(self).model_fields.items()
        return [field.alias or name for name, field in fields if getattr(self, name) != getattr(BY_FORECAST, name)]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        """Words such as ``mem=8G`` and ``time=4h`` as numbers."""
        if not isinstance(given, Mapping):
            return given
        found = dict(given)
        if isinstance(found.get("mem"), str):
            found["mem"] = megabytes(found["mem"])
        for name in ("time", "pack"):
            if isinstance(found.get(name), str):
                found[name] = seconds_of(found[name])
        return found


OURS = ("job_name", "array", "output", "error", "nodes", "ntasks", "ntasks_per_node", "array_parallelism", "setup",
        "signal", "signal_delay_s", "open_mode", "wckey", "command", "folder", "map_count")  # fmt: skip
"""Options of sbatch that are not the user's."""
BY_FORECAST = Wanted()
COMMON = ("cpus", "gpus", "mem")
"""Words that every cluster knows."""
KNOWN = (*COMMON, "time", "pack", "partition", "account", "address")


def wanted_of(words: Mapping[str, str], store: Literal["shared", "driver"] = "shared") -> Wanted:
    """What the words of ``--resources`` mean.

    Args:
        words: ``{"cpus": "4", "mem": "8G", "slurm_qos": "high"}``.
        store: What ``--store`` says.

    Raises:
        UsageError: If a word is not known, or its value is of another kind.
    """
    own = {name: value for name, value in words.items() if not name.startswith(SLURM)}
    for name in own:
        if name not in KNOWN:
            meant = nearest(name, KNOWN)
            more = f"; did you mean {meant[0]}?" if meant else "."
            raise UsageError(
                f"--resources: there is no {name!r}{more} There are: {', '.join(KNOWN)}, and {SLURM}NAME for any "
                "other option of sbatch"
            )
    ours = [name for name in words if name.removeprefix(SLURM) in OURS and name.startswith(SLURM)]
    if ours:
        raise UsageError(f"--resources {ours[0]}: ddbench says that itself, because it finds its jobs by it")
    rest = {name.removeprefix(SLURM): value for name, value in words.items() if name.startswith(SLURM)}
    try:
        return Wanted(**own, store=store, slurm=rest)
    except ValidationError as error:
        first = error.errors()[0]
        word = str(first["loc"][0])
        raise UsageError(f"--resources {word}={own.get(word, '')}: {in_words(first)}") from None
    except UsageError as error:
        raise UsageError(f"--resources: {error}") from None


def words_of(texts: list[str]) -> dict[str, str]:
    """``["cpus=4,mem=8G", "slurm_qos=high"]`` as words; a comma begins a new one only where a ``name=`` follows.

    Raises:
        UsageError: If a part is not of the form ``name=value``, or a name stands twice with different values.
    """
    found: dict[str, str] = {}
    for part in (part for text in texts for part in re.split(r",(?=[A-Za-z_]+=)", text)):
        name, equals, value = part.partition("=")
        if not equals or not value or re.fullmatch(r"[A-Za-z_]+", name) is None:
            raise UsageError(f"--resources {part!r} is not of the form name=value, e.g. cpus=4,mem=8G,time=4h")
        if found.setdefault(name, value) != value:
            raise UsageError(f"--resources: {name} is both {found[name]!r} and {value!r}")
    return found


def megabytes(text: str) -> float:
    """Megabytes of ``500``, ``500M``, ``8G`` or ``1.5T``.

    Raises:
        UsageError: If the text is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([MGT]?)B?", text.strip(), flags=re.IGNORECASE)
    if match is None:
        raise UsageError(f"{text!r} is not an amount of memory such as 500M or 8G")
    return float(match[1]) * {"": 1, "M": 1, "G": 1024, "T": 1024**2}[match[2].upper()]
