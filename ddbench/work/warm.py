"""Warming up: what a process imports and sets up once, so that its first node costs what a later one does."""

from __future__ import annotations

import contextlib
from functools import cache

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument
from ddbench.core.plugin.loader import Registries, base_of, import_target


@cache
def warm_up(device: str = "cpu") -> None:
    """Run two updates of a tiny network through the parts that nodes have in common, once per process and device.

    A GPU's context lives from then on, and the pages of the libraries that are used come into memory: forward and
    backward passes, the second backward pass of a gradient that is matched, augmentation, and files of tensors.

    Args:
        device: Where nodes will run.
    """
    import torch
    from safetensors.torch import load, save
    from torch import nn
    from torch.nn import functional

    from ddbench.blocks.augment import DSA
    from ddbench.blocks.sgd import SGD

    where, draws = torch.device(device), torch.Generator().manual_seed(0)
    images, labels = torch.zeros(4, 1, 8, 8, device=where), torch.arange(4, device=where) % 2
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        layers = (nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(4, 4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten())
        model = nn.Sequential(*layers, nn.Linear(64, 2)).to(where)
    optimiser = SGD(list(model.parameters()), 0.01, momentum=0.9, weight_decay=1e-4)
    dsa = DSA.for_dataset(flip=False)
    for _ in range(2):
        shown = dsa(images, dsa.draw(draws, n=len(images))).requires_grad_()
        optimiser.step(torch.autograd.grad(functional.cross_entropy(model(shown), labels), optimiser.parameters))
        loss = functional.cross_entropy(model(shown), labels)
        grads = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        torch.autograd.grad(torch.stack([grad.square().sum() for grad in grads]).sum(), shown)
    load(save({"order": torch.randperm(8, generator=draws).argsort()}))


def warm_up_for(document: Document, registries: Registries) -> None:
    """Import what the members that a node names are made of; what cannot be imported fails again where it is used."""
    with contextlib.suppress(Exception):
        match document:
            case CellDocument():
                target, arch = registries.methods.get(document.cell.method).target, document.cell.arch
            case ArtifactDocument():
                target, arch = registries.artifacts.get(document.artifact.kind).build, document.artifact.arch or ""
            case EvaluationDocument():
                target, arch = registries.protocols.get(document.eval.protocol).target, document.eval.arch
        import_target(target)
        family = registries.architectures.find(base_of(arch))
        if family is not None:
            import_target(family.target)
