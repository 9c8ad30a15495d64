"""Artifact nodes: an expensive shared input is built in a partial folder, and published when it is whole."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

from ddbench.core.documents import ArtifactDocument, Artifacts
from ddbench.core.errors import UsageError
from ddbench.core.plugin.limited import PluginWarning
from ddbench.core.plugin.loader import import_target
from ddbench.core.profiles import profile
from ddbench.core.store import artifacts
from ddbench.core.store.files import atomic_write
from ddbench.work.attempt import Job, Outcome, drop_log, environment_of, guarded, make_folder
from ddbench.work.context import open_context
from ddbench.work.engine import Engine, code_path
from ddbench.work.meter import Spent

ENGINE = ".engine.json"
"""File of an artifact's partial folder: the engine that it is built by."""


def build_artifact(job: Job[ArtifactDocument]) -> Outcome:
    """Build an artifact, continuing what earlier attempts left in its partial folder.

    Raises:
        InterruptedRunError: If the user asked to stop.
        StoreError: If nothing can be written.
    """
    spec = job.document.artifact
    kind = job.registries.artifacts.get(spec.kind)
    folder = make_folder(artifacts.partial_folder(spec.kind, job.document.key))
    meter, earlier = job.meter(), Spent.read(folder)
    engine = _begun_by(folder, job.engine)
    engine.apply()

    def build() -> None:
        with meter.phase("artifact"):
            ctx = open_context(
                spec, owner=spec.kind, folders=verified_folders(job.document.artifacts), registries=job.registries,
                profile=profile("short"), device=engine.device, limits=job.limits, monitor=job.monitor,
                key=job.document.key,
            )  # fmt: skip
            import_target(kind.build)(ctx, folder, import_target(kind.params).model_validate(spec.params))

    try:
        ended = guarded(job, build, folder)
    finally:
        spent = earlier.plus(meter)
        spent.write(folder)
    if ended.status != "ok":
        return Outcome(status=ended.status, reason=f"artifact {spec.kind}: {ended.reason}")
    origin = job.registries.artifacts.origin(spec.kind).key
    for text in ended.warnings:
        warnings.warn(f"artifact {spec.kind}: {text}", PluginWarning, stacklevel=2)
    facts = {
        "spec": spec.model_dump(mode="json"),
        "kind_version": kind.version,
        "artifacts": job.document.artifacts,
        "cost": artifacts.cost_facts(
            spent.totals,
            peak_mb=spent.peak_mb,
            device_mb=spent.device_mb,
            beside=spent.beside,
            contended=spent.contended,
            attempts=spent.attempts,
        ),
        "env": environment_of(origin, spec.data, spec.origins, *(["arch"] if spec.arch else []))
        | engine.facts(resumed=earlier.attempts > 0)
        | ({"warnings": [*ended.warnings]} if ended.warnings else {}),
    }
    artifacts.publish(spec.kind, job.document.key, facts)
    drop_log(job.store.log(job.document))
    return Outcome(status="ok")


def _begun_by(folder: Path, engine: Engine) -> Engine:
    """The engine that an unfinished build began with, if it is one for this device, so that it goes on to the bit."""
    path = folder / ENGINE
    with contextlib.suppress(OSError, ValueError, UsageError):  # none was begun, or none that can go on here
        kept = Engine.model_validate_json(path.read_bytes())
        if kept.device == engine.device and code_path(kept.engine, kept.device) == kept.engine:
            return kept
    atomic_write(path, engine.model_dump_json().encode(), durable=False)
    return engine


def engines_of(used: Artifacts) -> list[str]:
    """The code paths that made the artifacts of a node, as far as their manifests name them."""
    found = {(artifacts.manifest(kind, key) or {}).get("env", {}).get("engine") for kind, key in used.values()}
    return sorted(found - {None})


def verified_folders(used: Artifacts, only: str | None = None) -> dict[str, Path]:
    """Folders of the artifacts that a node reads, by the names it knows them by.

    Args:
        used: What it reads.
        only: The one name wanted; None: all.

    Raises:
        CorruptFileError: If one is not what its manifest says; it is set aside.
    """
    return {name: artifacts.verify(*place) for name, place in used.items() if only in (None, name)}
