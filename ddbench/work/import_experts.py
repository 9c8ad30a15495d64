"""Experts that were trained elsewhere become artifacts, whose keys say that they were imported."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ddbench.core.errors import DataError, UsageError
from ddbench.core.keys import artifact_key
from ddbench.core.plugin.loader import Registries, active
from ddbench.core.provenance import environment
from ddbench.core.specs import ArtifactSpec
from ddbench.core.store import artifacts
from ddbench.core.store.files import sha256_file
from ddbench.data.dataset import Data, open_data
from ddbench.models import names as arch_names

KIND = "experts"


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported pool.

    Attributes:
        source: What runs call it: 16 hex digits that the files' content and order decide.
        experts: How many.
        last: E, the number of the last snapshot.
        arch: Their network, by its canonical name.
        top1: Accuracy on some training images at the first and at the last snapshot of expert 0 [%]; None for whitened
            images, whose matrices need not exist yet.
    """

    source: str
    experts: int
    last: int
    arch: str
    top1: tuple[float, float] | None


def import_experts(
    files: Sequence[Path], *, dataset: str, arch: str | None, preprocess: str, split: Literal["default", "paper"]
) -> Imported:
    """Import ``replay_buffer_*.pt`` files as a pool of experts.

    Args:
        files: The files, in the order that numbers the experts.
        dataset: What they were trained on, as users name it.
        arch: Their network; None: the data set's default.
        preprocess: The space they were trained in.
        split: The split of the runs that will use them.

    Raises:
        DataError: If a file is missing, cut short, or of another architecture.
        UsageError: If a name is unknown.
    """
    from ddbench.blocks.buffers import write_pool
    from ddbench.blocks.experts import Experts, probe
    from ddbench.blocks.params import PoolParams
    from ddbench.blocks.teachers import expert_logits
    from ddbench.data.space.split import open_splits
    from ddbench.models import build_model
    from ddbench.work.evaluate.metrics import accuracy

    registries = active()
    data = open_data(dataset, None, split, preprocess, registries)
    name = _canonical(arch or data.info.default_arch, data, registries)
    net = build_model(
        name, channels=data.info.channels, classes=data.info.classes, size=data.info.size, seed=0,
        families=registries.architectures,
    )  # fmt: skip
    digests = _digests(files)
    source = hashlib.sha256("".join(digests).encode()).hexdigest()[:16]
    partial = _emptied(source)
    partial.mkdir(parents=True)
    try:
        experts, last = write_pool(partial, files, [parameter.shape for parameter in net.parameters()])
    except BaseException:  # Ctrl-C and a full disk included
        shutil.rmtree(partial)
        raise
    pool = PoolParams(experts=experts, expert_epochs=last, expert_source=source).pool
    spec = ArtifactSpec(kind=KIND, data=data.spec, arch=name, params=pool.model_dump(mode="json"),
                        seed={})  # fmt: skip
    spec = registries.with_origins(spec)
    kind = registries.artifacts.get(KIND)
    key = artifact_key(spec, kind.version)
    place = _emptied(key)
    partial.rename(place)
    facts = {
        "spec": spec.model_dump(mode="json"),
        "kind_version": kind.version,
        "cost": {"seconds": 0.0, "peak_mb": 0.0, "attempts": 0},
        "env": dict(environment(registries.artifacts.origin(KIND).key)),
        "imported": [{"file": path.name, "sha256": digest} for path, digest in zip(files, digests, strict=True)],
    }
    top1 = None
    if not data.spec.preprocess.startswith("zca"):
        train, _ = open_splits(data.spec, device="cpu")
        index = probe(len(train))
        images, labels, built = train.images(index), train.labels[index], Experts(place)
        first, end = (accuracy(expert_logits(net, built.snapshot(0, t), images), labels) for t in (0, last))
        top1 = first, end
    artifacts.publish(KIND, key, facts)
    return Imported(source, experts, last, name, top1)


def _canonical(arch: str, data: Data, registries: Registries) -> str:
    """The canonical name of a network whose snapshots can be imported.

    Raises:
        DataError: If its experts could not be used.
        UsageError: If its name is unknown, or it is too deep for the images.
    """
    name = arch_names.parse(arch_names.meant(arch, registries.architectures), registries.architectures)
    why = arch_names.too_few_pixels(name, channels=data.info.channels, size=data.info.size)
    if why is not None:
        raise UsageError(f"{data.label}: {why}")
    if name.norm == "bn":
        raise DataError(
            f"{name.canonical}: buffers hold no statistics of batch norm, so no method can use such experts"
        )
    return name.canonical


def _digests(files: Sequence[Path]) -> list[str]:
    """sha256 of every file.

    Raises:
        DataError: If a file is missing, or two are the same.
    """
    missing = next((path for path in files if not path.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing}: {'is a folder' if missing.is_dir() else 'no such file'}")
    digests = [sha256_file(path) for path in files]
    twice = next((i for i, digest in enumerate(digests) if digest in digests[:i]), None)
    if twice is not None:
        raise DataError(f"{files[twice]}: the same content as {files[digests.index(digests[twice])]}")
    return digests


def _emptied(key: str) -> Path:
    """Where an artifact is made; nothing of an earlier attempt is left there."""
    place = artifacts.partial_folder(KIND, key)
    if place.exists():
        shutil.rmtree(place)
    return place
