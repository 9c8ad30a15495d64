"""A RunContext over plain tensors, for tests of methods without the core."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ddbench.core.api import CondensedSet, Limits, Preprocess
from ddbench.core.specs import Budget, DatasetInfo, ipc_of
from ddbench.models.convnet import ConvNet


class FakeSplit:
    """The interface of ``ddbench.data.space.split.Split`` over given images [N, C, H, W] and labels [N]."""

    preprocess = Preprocess(id="meanstd", mean=(0.0,), std=(1.0,))

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self._images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, index: Tensor | None = None) -> Tensor:
        return self._images if index is None else self._images[index]

    def of_class(self, c: int) -> Tensor:
        return torch.nonzero(self.labels == c).flatten()


def seed_from(*use: object) -> int:
    return zlib.crc32(repr(use).encode())


@dataclass
class FakeContext:
    """Implements RunContext; ``method`` tells private seeds apart, ``master`` repetitions."""

    train: FakeSplit
    val: FakeSplit
    budget: Budget = field(default_factory=lambda: Budget(ipc=2))
    arch: str = "convnet2-w8-in"
    method: str = "fake"
    master: int = 0
    depth: int = 2
    width: int = 8
    norm: str = "in"
    flip: bool = False
    artifacts: dict[str, Path] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    step: int = 0
    limits: Limits = field(default_factory=Limits)
    warnings: list[str] = field(default_factory=list)
    initial: CondensedSet | None = None

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.private_seed("generator"))
        example = self.train.images()
        classes = int(self.train.labels.max()) + 1
        self.dataset = DatasetInfo(
            name="toy",
            revision="0" * 16,
            channels=example.shape[1],
            size=example.shape[2],
            classes=classes,
            class_names=tuple(str(c) for c in range(classes)),
            counts=tuple(self.train.labels.bincount(minlength=classes).tolist()),
            val_counts=tuple(self.val.labels.bincount(minlength=classes).tolist()),
            n_test=0,
            default_arch=self.arch,
            flip=self.flip,
            mean=(0.0,),
            std=(1.0,),
        )

    @property
    def per_class(self) -> tuple[int, ...]:
        return self.budget.resolve(self.dataset.counts)

    @property
    def ipc(self) -> int:
        return ipc_of(self.per_class)

    def seed(self, *use: str) -> int:
        return seed_from(self.master, *use)

    def private_seed(self, *use: str) -> int:
        return seed_from(self.master, self.method, *use)

    def build_model(self, arch: str | None = None, *, seed: int) -> nn.Module:
        info, norm = self.dataset, self.norm if arch is None else arch.rpartition("-")[2]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            net = ConvNet(self.depth, self.width, norm, channels=info.channels, classes=info.classes, size=info.size)
        return net.to(self.train.images().dtype)

    def artifact(self, name: str) -> Path:
        return self.artifacts[name]

    def score(self, condensed: CondensedSet) -> float:
        raise NotImplementedError

    def progress(self, done: int, total: int, what: str = "") -> None:
        assert 0 <= done <= total

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def toy(
    counts: tuple[int, ...] = (30, 30, 30),
    *,
    channels: int = 1,
    size: int = 8,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> FakeSplit:
    """Noisy images around one random image per class, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    centres = torch.randn(len(counts), channels, size, size, generator=generator, dtype=dtype)
    noise = torch.randn(len(labels), channels, size, size, generator=generator, dtype=dtype)
    return FakeSplit(centres[labels] + 0.3 * noise, labels)


def run(method, ctx: FakeContext, steps: int | None = None) -> CondensedSet:  # type: ignore[no-untyped-def]
    """What the core does with a method."""
    method.prepare(ctx)
    while not method.done(ctx) if steps is None else ctx.step < steps:
        method.step(ctx)
        ctx.step += 1
    return method.finalise(ctx)
