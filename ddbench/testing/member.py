"""The bench of a member that is no method, and the laws that the records of all such members keep."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import DataSpec
from ddbench.testing.record_checks import no_torch_is_imported, only_public_names
from ddbench.testing.subject import home_at

T = TypeVar("T", bound=Any)

NARROW = "convnet2-w8-in"
"""The network that contracts use where one is needed."""


@dataclass
class MemberBench(Generic[T]):
    """A registered member, in a home of its own.

    Attributes:
        info: Its record.
        registry: Where it is registered.
        registries: All registries.
        folder: ``$DDBENCH_HOME`` while a check runs.
        plugin: Its file, for a one-file plugin.
    """

    info: T
    registry: Registry[T]
    registries: Registries
    folder: Path
    plugin: Path | None = None

    def home(self) -> AbstractContextManager[None]:
        """A block in which ``$DDBENCH_HOME`` is the bench's."""
        return home_at(self.folder)

    @property
    def module(self) -> str:
        """The module that registers it."""
        return self.registry.origin(self.info.name).module


@dataclass
class ParamsBench(MemberBench[T]):
    """A member with params.

    Attributes:
        fast: Overrides that make a run take seconds, and values of params that have no default.
    """

    fast: Mapping[str, Any] = field(default_factory=dict)


def digits() -> DataSpec:
    """The data that contracts use where some are needed."""
    from ddbench.core.plugin.loader import installed
    from ddbench.data.prepared.prepare import resolve
    from ddbench.data.prepared.sources import parse_source

    return DataSpec(name="digits", revision=resolve(parse_source("digits", installed().datasets)).revision)


def summary_is_one_line(bench: MemberBench[Any]) -> None:
    """The record says in one line what the member is."""
    summary = bench.info.summary
    assert summary.strip(), "summary is empty: say in one line what it is"
    assert "\n" not in summary, "summary has more than one line"


def registering_imports_no_torch(bench: MemberBench[Any]) -> None:
    """The module that registers the member imports no torch: `list` and `plan` stay fast."""
    no_torch_is_imported(bench.module, bench.plugin)


def imports_only_public_names(bench: MemberBench[Any]) -> None:
    """The plugin imports ddbench's public modules only."""
    if not bench.module.startswith("ddbench."):
        only_public_names(bench.module, bench.plugin)


MEMBER_CHECKS: tuple[Any, ...] = (summary_is_one_line, registering_imports_no_torch, imports_only_public_names)
