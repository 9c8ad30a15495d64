"""How hard each test image is for a small network that learns from all real images, and accuracy by quartile of that.

Difficulty belongs to a data set under a view, not to a method or a row: one network, the data set's usual one but at
most 32 channels wide, learns train ∪ val. An image is the harder, the more snapshots of that training misclassify it;
among equals, the higher its loss at the end; among those, the later it comes. It is kept beside the artifacts
(``ddbench artifacts list``), yet no kind of artifact: methods can ask for those, and this one was made with the test
split. Only building imports torch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ddbench.core.api import ArchInfo
from ddbench.core.keys import artifact_key, seed_of, short
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import ArtifactSpec, DataSpec
from ddbench.core.store import artifacts
from ddbench.core.store.claims import Watch, acquire
from ddbench.core.store.files import home, sha256_file
from ddbench.data.describe import describe
from ddbench.data.prepared.on_disk import find
from ddbench.models.names import parse

if TYPE_CHECKING:
    from ddbench.work.engine import Engine

KIND = "difficulty"
VERSION = 1
FILE = "difficulty.safetensors"
WIDTH = 32
PARAMS = {"updates": 1000, "batch": 256, "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "snapshots": 20}
"""SGD on cross-entropy without augmentation; lr × 0.1 after half of the updates; snapshots equally spaced."""

MIN_TEST = 4
"""Test images below which there are no quartiles."""
WAIT_S = 0.5
"""Between two looks at a claim that another process holds [s]."""

Tick = Callable[[int], object]


def difficulty_spec(data: DataSpec, families: Registry[ArchInfo]) -> ArtifactSpec:
    """What the difficulty of the test images of ``data`` is made from: its split and its preprocessing do not matter.

    Raises:
        DataError: If the data set is not prepared.
    """
    plain = data.model_copy(update={"split": "default", "preprocess": "meanstd"})
    info = describe(find(data.name, data.revision), plain)
    usual = parse(info.default_arch, families)
    arch = "-".join([usual.base, f"w{min(WIDTH, usual.width)}", usual.norm])
    arch = parse(arch, families).canonical
    return ArtifactSpec(kind=KIND, data=plain, arch=arch, params=dict(PARAMS), seed={"master": 0, "r": 0})


def difficulty_key(spec: ArtifactSpec) -> str:
    """Its 64-digit key."""
    return artifact_key(spec, VERSION)


def read(spec: ArtifactSpec) -> tuple[NDArray[np.int64], str] | None:
    """The quartile of each test image, int64 [n_test] in 0 (easiest) … 3, and the sha256 of what says so.

    None when it has not been built.
    """
    from safetensors.numpy import load_file

    key = difficulty_key(spec)
    if artifacts.manifest(KIND, key) is None:
        return None
    path = artifacts.verify(KIND, key) / FILE
    found = load_file(path)
    return quartiles(found["wrong"], found["loss"]), sha256_file(path)


def quartiles(wrong: NDArray[Any], loss: NDArray[Any]) -> NDArray[np.int64]:
    """Quartile 0 (easiest) … 3 of each of n images; sizes differ by one at most.

    Args:
        wrong: [n], at how many snapshots each was misclassified.
        loss: [n], its loss at the end.
    """
    n = len(wrong)
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.lexsort((np.arange(n), loss, wrong))] = np.arange(n)
    return ranks * 4 // n


def accuracy_by_quartile(hits: NDArray[np.bool_], quartile: NDArray[np.int64]) -> list[float]:
    """Accuracy [%] in each quartile, easiest first.

    Args:
        hits: [n], whether each test image was predicted right.
        quartile: [n], from :func:`quartiles`.

    Raises:
        ValueError: If a quartile is empty (fewer than four images), or the lengths differ.
    """
    if len(hits) != len(quartile) or len(np.unique(quartile)) < 4:
        raise ValueError(f"{len(hits)} predictions for {len(quartile)} images in {len(np.unique(quartile))} quartiles")
    return [100.0 * float(hits[quartile == q].mean()) for q in range(4)]


def build(spec: ArtifactSpec, engine: Engine, families: Registry[ArchInfo], tick: Tick) -> Path:
    """Train the network, look at the test images at every snapshot, and keep what came of it.

    Args:
        spec: From :func:`difficulty_spec`.
        engine: How to compute.
        families: Registered architectures.
        tick: Told how many updates are done.

    Returns:
        The folder: ``wrong`` [n_test] int16 and ``loss`` [n_test] float32 in one file, and a manifest. Where another
        process builds it already, that one is waited for.

    Raises:
        StoreError: If ``$DDBENCH_HOME`` cannot be written.
    """
    folder, key, watch = home() / "artifacts" / ".claims", difficulty_key(spec), Watch()
    while (claim := acquire(folder, short(key), watch)) is None:
        time.sleep(WAIT_S)
    with claim:
        if artifacts.manifest(KIND, key) is not None:
            return artifacts.folder_of(KIND, key)
        return _train(spec, engine, families, tick)


def _train(spec: ArtifactSpec, engine: Engine, families: Registry[ArchInfo], tick: Tick) -> Path:
    import torch
    from safetensors.torch import save
    from torch.nn import functional

    from ddbench.blocks.training import Trainer, TrainingRecipe
    from ddbench.core.store.files import atomic_write
    from ddbench.data.space.split import open_test, open_whole
    from ddbench.work.evaluate.inputs import network
    from ddbench.work.evaluate.metrics import logits_of
    from ddbench.work.meter import Meter
    from ddbench.work.timers import gpu_of

    engine.apply()
    params, meter = spec.params, Meter(gpu=gpu_of(engine.device))
    with meter.phase("artifact"):
        whole, test = open_whole(spec.data, device=engine.device), open_test(spec.data, device=engine.device)
        info = describe(find(spec.data.name, spec.data.revision), spec.data)
        seed = seed_of(spec.seed["master"], spec.data.name, spec.seed["r"], KIND)
        assert spec.arch is not None
        model = network(spec.arch, info, torch.device(engine.device), seed, families).train()
        updates, every = params["updates"], params["updates"] // params["snapshots"]
        recipe = TrainingRecipe(
            updates, params["lr"], min(params["batch"], len(whole)), "step", updates // 2,
            momentum=params["momentum"], weight_decay=params["weight_decay"],
        )  # fmt: skip
        order = torch.Generator().manual_seed(seed)
        trainer = Trainer(model, whole.images, whole.labels, recipe, order=order)
        labels, wrong, logits = test.labels.cpu(), torch.zeros(len(test), dtype=torch.int16), torch.empty(0)
        while trainer.done < updates:
            trainer.update()
            tick(trainer.done)
            if trainer.done % every == 0:
                model.eval()
                with torch.no_grad():
                    logits = logits_of(model, test)
                model.train()
                wrong += (logits.argmax(1) != labels).to(torch.int16)
        loss = functional.cross_entropy(logits, labels, reduction="none")
    key = difficulty_key(spec)
    atomic_write(artifacts.partial_folder(KIND, key) / FILE, save({"wrong": wrong, "loss": loss.float()}))
    cost = artifacts.cost_facts(
        {timer: phases["artifact"] for timer, phases in meter.seconds.items()},
        peak_mb=meter.peak_mb, device_mb=meter.device_mb, contended=meter.contended,
    )  # fmt: skip
    document = json.loads(spec.model_dump_json())
    facts = {"spec": document, "kind_version": VERSION, "cost": cost, "env": engine.model_dump()}
    return artifacts.publish(KIND, key, facts)
