"""What plain reference loops work on: real images by class, first synthetic ones, fresh networks, one draw a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.kit import data
from benchmarks.kit.case import CLASSES, Case
from ddbench.blocks.augment import DSA
from ddbench.models import build_model
from tests.parity.reference.dm import Transform


class Problem:
    """The images of a case, on its device; draws are seeded.

    Attributes:
        x: Real images, [4000, C, H, W].
        y: Their labels.
        images: Synthetic images, the first real ones of each class, [10 · ipc, C, H, W]; a leaf.
        counts: Synthetic images of each class.
    """

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(case.threads)
        self.case, self.draws, self._nets = case, torch.Generator().manual_seed(0), 0
        x, y = data.training_images(case)
        self._of_class = [(y == c).nonzero().flatten() for c in range(CLASSES)]
        self.x, self.y = x.to(case.device), y.to(case.device)
        first = torch.cat([index[: case.ipc] for index in self._of_class])
        self.images = self.x[first.to(case.device)].clone().requires_grad_()
        self.counts = [case.ipc] * CLASSES
        self.labels = self.y[first.to(case.device)]
        self.dsa = DSA.for_dataset(flip=True)

    def real(self, c: int, n: int) -> Tensor:
        """Random real images of a class."""
        order = torch.randperm(len(self._of_class[c]), generator=self.draws)[:n]
        return self.x[self._of_class[c][order].to(self.x.device)]

    def batches(self) -> list[Tensor]:
        """A batch of every class."""
        return [self.real(c, self.case.batch) for c in range(CLASSES)]

    def net(self) -> nn.Module:
        """A fresh network."""
        self._nets += 1
        case = self.case
        net = build_model(case.arch, channels=case.channels, classes=CLASSES, size=case.size, seed=self._nets)
        return net.to(case.device)

    def transforms(self) -> list[Transform]:
        """A fresh augmentation of every class, the same for both sides."""
        draws = [self.dsa.draw(self.draws) for _ in range(CLASSES)]
        return [lambda images, draw=draw: self.dsa(images, draw) for draw in draws]

    def augmented(self, images: Tensor) -> Tensor:
        """One operation for the batch, parameters per image."""
        return self.dsa(images, self.dsa.draw(self.draws, n=len(images)))
