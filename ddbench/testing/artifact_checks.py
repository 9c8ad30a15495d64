"""Laws about a kind of artifacts: its params, and that building one is repeatable, tidy, and survives a kill."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ddbench.core.api import ArtifactKind, Limits, Params
from ddbench.core.errors import InterruptedRunError
from ddbench.core.plugin.loader import import_target
from ddbench.core.profiles import profile
from ddbench.core.specs import ArtifactSpec
from ddbench.testing import compare
from ddbench.testing.member import MEMBER_CHECKS, NARROW, ParamsBench, digits
from ddbench.testing.record_checks import no_torch_is_imported, params_are_closed
from ddbench.work.context import Context, open_context
from ddbench.work.monitor import Monitor, Silent

KILLS = 3
"""Reports of progress after which building is stopped, each in its turn."""


class Stopping(Silent):
    """Stops a node at a report of progress.

    Attributes:
        last: At which.
        calls: Reports so far.
    """

    def __init__(self, last: int) -> None:
        self.last, self.calls = last, 0

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """Count, and stop."""
        self.calls += 1
        if self.calls == self.last:
            raise InterruptedRunError("stopped")


class ArtifactBench(ParamsBench[ArtifactKind]):
    """Builds artifacts of one kind from digits."""

    def params(self) -> Params:
        """The params that are tried."""
        params: Params = import_target(self.info.params).model_validate(dict(self.fast))
        return params

    def context(self, monitor: Monitor | None = None) -> Context:
        """A new context, as a node gets it."""
        spec = ArtifactSpec(
            kind=self.info.name, data=digits(), arch=NARROW, params=self.params().model_dump(mode="json"),
            seed={"master": 0, "r": 0},
        )  # fmt: skip
        return open_context(
            spec, owner=self.info.name, folders={}, registries=self.registries, profile=profile("short"), device="cpu",
            limits=Limits(), monitor=monitor or Silent(), key="",
        )  # fmt: skip

    def build(self, folder: Path, ctx: Context | None = None) -> dict[str, str]:
        """Build into a folder; sha256 of the files that came about."""
        import_target(self.info.build)(ctx or self.context(), folder, self.params())
        return compare.tree(folder)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder beside nothing."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def record_is_complete(bench: ArtifactBench) -> None:
    """The record names a builder and a type of params that exist."""
    assert callable(import_target(bench.info.build)), f"build {bench.info.build!r} is no function"
    params = import_target(bench.info.params)
    assert isinstance(params, type) and issubclass(params, Params), (
        f"{bench.info.params} is no subclass of ddbench.Params"
    )


def params_import_no_torch(bench: ArtifactBench) -> None:
    """Importing the params imports no torch."""
    module = bench.info.params.partition(":")[0]
    no_torch_is_imported(module, bench.plugin if bench.plugin and bench.plugin.stem == module else None)


def params_are_described(bench: ArtifactBench) -> None:
    """Every parameter has a description; params are frozen and closed, and the same after JSON."""
    params_are_closed(import_target(bench.info.params))
    try:
        params = bench.params()
    except ValidationError as error:
        first = error.errors()[0]
        raise AssertionError(
            f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']} (give it with --set)"
        ) from error
    again = type(params).model_validate(params.model_dump(mode="json"))
    assert again == params, "params are others after JSON: keys would not match"


def builds_are_the_same(bench: ArtifactBench) -> None:
    """Two builds give the same files to the bit, whatever the global generators hold."""
    with compare.global_seeds(1), scratch() as folder:
        first = bench.build(folder)
    with compare.global_seeds(2), scratch() as folder:
        second = bench.build(folder)
    assert first, "nothing was written into the folder"
    odd = sorted(set(first.items()) ^ set(second.items()))
    assert not odd, f"{odd[0][0]} differs between two builds; draw from ctx.generator or ctx.private_seed(…) only"


def only_its_folder_is_written(bench: ArtifactBench) -> None:
    """Nothing is written outside of the folder: not into the current one, nor into $DDBENCH_HOME."""
    ctx, here = bench.context(), Path.cwd()
    with scratch() as folder, scratch() as current:
        before = compare.tree(bench.folder)
        os.chdir(current)
        try:
            bench.build(folder, ctx)
        finally:
            os.chdir(here)
        strays = sorted(compare.tree(current)) + sorted(set(compare.tree(bench.folder).items()) ^ set(before.items()))
    assert not strays, f"writes {strays[0]} outside of `folder`"


def shared_state_is_untouched(bench: ArtifactBench) -> None:
    """Building leaves the global generators, torch's settings, and the images that the context lends alone."""
    ctx = bench.context()
    random, settings, lent = compare.global_randomness(), compare.Settings(), compare.shared_tensors(ctx)
    try:
        with scratch() as folder:
            bench.build(folder, ctx)
        touched = compare.changed(random, compare.global_randomness())
        assert not touched, f"uses the global generator of {', '.join(touched)}; draw from ctx.generator"
        touched = settings.touched()
        assert not touched, f"changes {', '.join(touched)} for the whole process"
        touched = compare.changed(lent, compare.shared_tensors(ctx))
        assert not touched, f"writes into {', '.join(touched)}: clone before an in-place operation"
    finally:
        settings.restore()


def interruption_changes_nothing(bench: ArtifactBench) -> None:
    """Stopped at a report of progress and started again in the same folder, a build gives the same files."""
    with scratch() as folder:
        whole = bench.build(folder)
    for last in range(1, KILLS + 1):
        monitor = Stopping(last)
        with scratch() as folder:
            with contextlib.suppress(InterruptedRunError):
                bench.build(folder, bench.context(monitor))
            if monitor.calls < last:
                return
            found = bench.build(folder)
        odd = sorted(name for name, digest in whole.items() if found.get(name) != digest)
        assert not odd, f"stopped at report {last} of progress and built on, {odd[0]} is another: start over, or resume"


ARTIFACT_CHECKS: tuple[Any, ...] = (
    *MEMBER_CHECKS,
    record_is_complete,
    params_import_no_torch,
    params_are_described,
    builds_are_the_same,
    only_its_folder_is_written,
    shared_state_is_untouched,
    interruption_changes_nothing,
)
