"""Embeddings: computing them fast, the shared ``features`` artifact, and selecting by it within classes.

Symbols: n images of a batch, N training images, K classes, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ddbench.blocks.functional import is_fused
from ddbench.blocks.params import FeaturesParams
from ddbench.blocks.proxies import refuse_diverged, tell_unless_learned
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.api import Images, RunContext
from ddbench.core.errors import NodeFailureError
from ddbench.core.store.tensors import load_checkpoint, save_state

FILE = "features.safetensors"
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4

# Measured on 2 cores, torch 2.14, ConvNet-3 of width 128 on 28 pixels, images/s: 1300 in chunks of 256; 1800 of them
# channels-last; 3300 channels-last in chunks of 16, whose activations (8 MiB) stay in the cache. On 8 pixels
# channels-last loses 20 % to group norm's slow path for small maps. Where norm, ReLU and pooling are one operation,
# which wants each channel in one piece, channels-last loses 40 % at width 32, and chunks of 64 gain 9 % over 16 at
# width 128. A GPU only needs to be full.
CPU_CHUNK_BYTES = 2**23
FUSED_CHUNK_BYTES = 2**25
GPU_CHUNK_BYTES = 2**30
CHANNELS_LAST_SIDE = 16
_ROWS = 1024
WHOLE = 2**62
"""More images than any batch has."""


class Embedder(Protocol):
    """What every network of :func:`ddbench.models.build_model` can do."""

    def embed(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] → the input of the last linear layer [n, D]."""
        ...


def frozen(net: nn.Module, images: Tensor) -> nn.Module:
    """The same network, for embedding only: no parameter gradients, and the memory format that suits ``images``."""
    net.requires_grad_(False)
    if images.device.type == "cpu" and images.shape[-1] >= CHANNELS_LAST_SIDE and not is_fused(net):
        return net.to(memory_format=torch.channels_last)
    return net


def embed(net: nn.Module, images: Tensor, chunk: int) -> Tensor:
    """Embed a batch in chunks: equal to one pass, unless ``net`` couples images (batch norm in train mode).

    Args:
        net: A network with ``.embed``.
        images: [n, C, H, W].
        chunk: Images per pass; see :func:`chunk_size`.

    Returns:
        [n, D], differentiable in ``images``.
    """
    return torch.cat([cast(Embedder, net).embed(part) for part in torch.split(images, chunk)])


@torch.no_grad()
def chunk_size(net: nn.Module, image: Tensor) -> int:
    """Images per pass whose largest activation fits the device.

    Args:
        net: A network with ``.embed``; one image is run through it, so batch norm must be in eval mode.
        image: [1, C, H, W].
    """
    sizes = [image.nbytes]

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append(output.nbytes)

    hooks = [module.register_forward_hook(note) for module in net.modules() if next(module.children(), None) is None]
    cast(Embedder, net).embed(image)
    for hook in hooks:
        hook.remove()
    on_cpu = FUSED_CHUNK_BYTES if is_fused(net) else CPU_CHUNK_BYTES
    return max(1, (on_cpu if image.device.type == "cpu" else GPU_CHUNK_BYTES) // max(sizes))


def pass_size(net: nn.Module, image: Tensor) -> int:
    """Images per pass of a network in train mode: all of a batch where batch norm couples them, else as they fit.

    Args:
        net: A network with ``.embed``.
        image: [1, C, H, W].
    """
    return WHOLE if next(net.buffers(), None) is not None else chunk_size(net, image)


@torch.no_grad()
def build(ctx: RunContext, folder: Path, params: FeaturesParams) -> None:
    """Build the artifact: ``features.safetensors`` with features [N, D] and logits [N, K], float32.

    A proxy net of the cell's architecture is trained on train (see :class:`FeaturesParams`), then embeds all of it.
    """
    found = outputs(ctx, _train_proxy(ctx, folder, params).eval(), ctx.train)
    save_file({"features": found.features, "logits": found.logits}, folder / FILE)
    (folder / _CHECKPOINT).unlink(missing_ok=True)


class Outputs(NamedTuple):
    """What a network says of n images: features [n, D] and logits [n, K], float32 on the CPU."""

    features: Tensor
    logits: Tensor


@torch.no_grad()
def outputs(ctx: RunContext, net: nn.Module, split: Images) -> Outputs:
    """What a network in eval mode says of all images of a split; it is :func:`frozen` from then on."""
    example = split.images(torch.tensor([0]))
    net = frozen(net, example)
    parts = torch.split(torch.arange(len(split)), chunk_size(net, example))
    features, logits = [], []
    for done, index in enumerate(parts):
        images = split.images(index)
        features.append(cast(Embedder, net).embed(images).float().cpu())
        logits.append(net(images).float().cpu())
        ctx.progress(done + 1, len(parts), "batches embedded")
    return Outputs(torch.cat(features), torch.cat(logits))


def load(folder: Path) -> Tensor:
    """Features of all training images, [N, D] float32 on the CPU."""
    return load_file(folder / FILE)["features"]


def load_outputs(folder: Path) -> Outputs:
    """What the proxy net says of all training images."""
    found = load_file(folder / FILE)
    return Outputs(found["features"], found["logits"])


def said(ctx: RunContext) -> Outputs:
    """What the proxy net of the artifact ``features`` says; the record says so where it hardly learned anything."""
    found = load_outputs(ctx.artifact("features"))
    tell_unless_learned(ctx, accuracy(found.logits, ctx.train.labels))
    return found


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of images whose largest logit is their class's."""
    return float((logits.argmax(1) == labels.to(logits.device)).double().mean())


def refuse_nan(found: Sequence[Tensor], whose: str) -> None:
    """Fail the cell where what a network says is not numbers.

    Args:
        found: :class:`Outputs` or a part of them, each [n, ·].
        whose: Of which images.

    Raises:
        NodeFailureError: If so, with status ``nan``; says for how many of ``whose``.
    """
    parts = zip(*(torch.split(one, _ROWS) for one in found), strict=True)
    wrong = sum(int((~torch.stack([one.isfinite().all(1) for one in part]).all(0)).sum()) for part in parts)
    if wrong:
        raise NodeFailureError("nan", f"the features of {wrong} of {len(found[0])} {whose} are no numbers")


def select_per_class(
    ctx: RunContext, rule: Callable[[Tensor, int], Tensor], times: int = 1, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Apply a selection rule to the features of each class; the artifact must be called ``features``.

    Args:
        ctx: The run.
        rule: (features of a class [n_c, D], how many) → distinct row numbers, int64.
        times: How many images to choose for each one of the budget.
        dtype: Of the features; float32, as they are stored, for rules that round as little as in float64.

    Returns:
        [n] int64 indices into train, class-major, on the CPU.

    Raises:
        NodeFailureError: If features are no numbers.
    """
    found = load_file(ctx.artifact("features") / FILE)
    features = found["features"]
    refuse_nan([features], "images")
    if (logits := found.get("logits")) is not None:
        tell_unless_learned(ctx, accuracy(logits, ctx.train.labels))
    chosen = []
    for c, n in enumerate(ctx.per_class):
        if n:
            members = ctx.train.of_class(c).cpu()
            chosen.append(members[rule(features[members].to(ctx.device, dtype), n * times).cpu()])
        ctx.progress(c + 1, len(ctx.per_class), "classes")
    return torch.cat(chosen)


_CHECKPOINT = ".checkpoint.safetensors"
_VERSION = "features 1"


@torch.enable_grad()
def _train_proxy(ctx: RunContext, folder: Path, params: FeaturesParams) -> nn.Module:
    """Train the proxy net; each epoch leaves a checkpoint in ``folder``, from which a killed build goes on.

    Raises:
        NodeFailureError: If the parameters stop being numbers.
    """
    seed = ctx.seed("features")
    per_epoch = math.ceil(len(ctx.train) / params.batch)
    recipe = TrainingRecipe(
        params.epochs * per_epoch, params.lr, params.batch, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    order = torch.Generator().manual_seed(seed)
    trainer = Trainer(ctx.build_model(seed=seed), ctx.train.images, ctx.train.labels, recipe, order=order)
    if (state := load_checkpoint(folder / _CHECKPOINT, _VERSION)) is not None:
        trainer.load(state["trainer"])
    while trainer.done < recipe.updates:
        trainer.update()
        if trainer.done % per_epoch == 0:
            epoch = trainer.done // per_epoch
            refuse_diverged(trainer.model, epoch, params.lr)
            ctx.progress(epoch, params.epochs, "epochs of the proxy net")
            save_state(folder / _CHECKPOINT, {"version": _VERSION, "trainer": trainer.state()})
    return trainer.model
