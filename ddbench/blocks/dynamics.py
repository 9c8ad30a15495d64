"""Training dynamics: what a proxy net says about every training image while it learns them; the artifact ``dynamics``.

Symbols: T recorded epochs, N training images, K classes, D features; z logits, p their softmax, y the image's class.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, cast, get_args

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.augment import DSA
from ddbench.blocks.dynamics_params import DynamicsParams, Margins, dynamics_name, first_tenth, kept_epochs
from ddbench.blocks.features import MOMENTUM, WEIGHT_DECAY, Embedder, chunk_size
from ddbench.blocks.proxies import refuse_diverged, tell_unless_learned
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.api import RunContext
from ddbench.core.store.tensors import load_checkpoint, save_state

Measure = Literal["correct", "margin", "margin_p", "el2n", "loss", "entropy"]
"""What is recorded of every image each time that training shows it to the net.

``correct``: whether the largest logit is the class's. ``margin``: z_y − max_{j≠y} z_j. ``margin_p``: the same of
probabilities. ``el2n``: ‖p − onehot(y)‖₂. ``loss``: −log p_y. ``entropy``: −Σ p log p [nats].
"""
MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)

PRESENTED = "presented.npy"
CHECKPOINT_S = 60.0
_CHECKPOINT = ".checkpoint.safetensors"
_VERSION = "dynamics 1"


def measures(logits: Tensor, labels: Tensor) -> Tensor:
    """Every measure of a batch of n images, [6, n] float32 in the order of :data:`MEASURES`.

    Args:
        logits: [n, K], K ≥ 2.
        labels: [n] int64.
    """
    z = logits.double()
    log_p = z.log_softmax(1)
    p, own = log_p.exp(), labels[:, None]
    others = torch.zeros_like(z, dtype=torch.bool).scatter_(1, own, value=True)

    def margin(values: Tensor) -> Tensor:
        return values.gather(1, own)[:, 0] - values.masked_fill(others, -torch.inf).amax(1)

    found = {
        "correct": z.argmax(1) == labels,
        "margin": margin(z),
        "margin_p": margin(p),
        "el2n": errors(logits, labels).norm(dim=1),
        "loss": -log_p.gather(1, own)[:, 0],
        "entropy": entropy(logits),
    }
    return torch.stack([found[name].float() for name in MEASURES])


def errors(logits: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the cross entropy in the logits, p − onehot(y): [n, K] float64."""
    p = logits.double().softmax(1)
    return p - functional.one_hot(labels, logits.shape[1]).to(p)


def entropy(logits: Tensor) -> Tensor:
    """−Σ p log p of each row [nats], [n] float64."""
    return cast(Tensor, torch.special.entr(logits.double().softmax(1))).sum(1)


def aum(margins: Tensor) -> Tensor:
    """The area under the margin, its mean over epochs: small is hard (Pleiss et al., NeurIPS 2020, eq. 1 and 2).

    Args:
        margins: [T, N].

    Returns:
        [N] float64.
    """
    return margins.double().mean(0)


def forgetting(correct: Tensor) -> Tensor:
    """How often an image was forgotten, right at one presentation and wrong at the next (Toneva et al., ICLR 2019).

    Args:
        correct: [T, N], 1 where right.

    Returns:
        [N] float64: events, at most T − 1; T for an image that was never right: more than any other can have. NaN
        where one of its numbers is none.
    """
    right = correct.bool()
    events = (right[:-1] & ~right[1:]).sum(0).double()
    counted = torch.where(right.any(0), events, float(len(correct)))
    return torch.where(correct.isfinite().all(0), counted, torch.nan)


@dataclass(frozen=True)
class Dynamics:
    """A recording; what is not asked for is not read.

    Attributes:
        folder: The artifact's folder.
    """

    folder: Path

    @classmethod
    def of(cls, ctx: RunContext, net: int = 0) -> Dynamics:
        """Those of one of the repetition's networks; the record says so where the first hardly learned anything."""
        found = cls(ctx.artifact(dynamics_name(net)))
        if net:
            return found  # recorded as far as a method looks, which may be too early to have learned
        tell_unless_learned(ctx, float(found.presented("correct")[-1].mean()))
        return found

    @cached_property
    def _presented(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return cast(
            "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", np.load(self.folder / PRESENTED, mmap_mode="r")
        )

    @property
    def epochs(self) -> int:
        """T."""
        return int(self._presented.shape[1])

    def presented(self, measure: Measure) -> Tensor:
        """A measure of every image in every epoch, when training showed the image: [T, N] float32.

        Raises:
            ValueError: If no such measure is recorded.
        """
        if measure not in MEASURES:
            raise ValueError(f"no measure {measure!r} is recorded; known: {', '.join(MEASURES)}")
        return torch.from_numpy(np.array(self._presented[MEASURES.index(measure)]))

    def margins(self, of: Margins) -> Tensor:
        """Margins in every epoch, when training showed the image: [T, N] float32."""
        return self.presented("margin" if of == "logits" else "margin_p")

    def logits(self, epoch: int) -> Tensor:
        """Logits of all training images, without augmentation, after an epoch that is kept: [N, K] float32."""
        return self._tensor(epoch, "logits")

    def features(self, epoch: int | None = None) -> Tensor:
        """Embeddings of all training images, without augmentation: [N, D] float32.

        Args:
            epoch: After which epoch: the first tenth of all (:func:`first_tenth`), or None for the last.
        """
        return self._tensor(self.epochs if epoch is None else epoch, "features")

    def net(self, ctx: RunContext, epoch: int | None = None) -> nn.Module:
        """The proxy net itself after an epoch that is kept, or None for the last: in eval mode, on the device."""
        return self.load_into(ctx.build_model(seed=0), self.epochs if epoch is None else epoch)

    def load_into(self, net: nn.Module, epoch: int) -> nn.Module:
        """Give a network of the proxy's architecture the proxy's parameters after an epoch that is kept; eval mode."""
        with safe_open(str(self._kept(epoch)), framework="pt") as file:
            state = {name.removeprefix(_NET): file.get_tensor(name) for name in file.keys() if name.startswith(_NET)}  # noqa: SIM118
        net.load_state_dict(state)
        return net.eval()

    def _tensor(self, epoch: int, name: str) -> Tensor:
        with safe_open(str(self._kept(epoch)), framework="pt") as file:
            return cast(Tensor, file.get_tensor(name))

    def _kept(self, epoch: int) -> Path:
        path = kept_file(self.folder, epoch)
        if not path.exists():
            raise ValueError(f"the proxy net was not kept after epoch {epoch} of {self.epochs}")
        return path


_NET = "net."


def kept_file(folder: Path, epoch: int) -> Path:
    """Where the proxy net and what it says of all images after an epoch lie."""
    return folder / f"after_{epoch:04d}.safetensors"


def build(ctx: RunContext, folder: Path, params: DynamicsParams) -> None:
    """Build the artifact: ``presented.npy`` [6, T, N], and ``after_0000.safetensors`` … for the epochs that are kept.

    A killed build continues after the last whole epoch, or from a checkpoint every minute within longer ones.

    Raises:
        NodeFailureError: If the parameters stop being numbers.
    """
    n, seed = len(ctx.train), ctx.seed("dynamics", str(params.net))
    per_epoch = math.ceil(n / params.batch)
    draws, order = (
        torch.Generator().manual_seed(ctx.seed("dynamics", str(params.net), use)) for use in ("aug", "order")
    )
    shown = _Epoch(ctx.train.labels)
    trainer = Trainer(
        ctx.build_model(seed=seed),
        _fetch(ctx, params, draws),
        ctx.train.labels,
        TrainingRecipe(
            params.epochs * per_epoch, params.lr, params.batch, schedule=params.schedule, momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY, nesterov=True,
        ),
        order=order,
        watch=shown.see,
    )  # fmt: skip
    kept = {*kept_epochs(params.epochs), params.recorded}
    state = load_checkpoint(folder / _CHECKPOINT, _VERSION)
    if state is None:
        path, shape = str(folder / PRESENTED), (len(MEASURES), params.recorded, n)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape).flush()
        _keep(ctx, folder, trainer.model, 0, features=False)
    else:
        trainer.load(state["trainer"])
        draws.set_state(state["draws"])
        shown.values.copy_(state["shown"])
    presented = np.lib.format.open_memmap(str(folder / PRESENTED), mode="r+")
    updates, saved = params.recorded * per_epoch, time.monotonic()
    while trainer.done < updates:
        trainer.update()
        ctx.progress(trainer.done, updates, "updates of the proxy net")
        epoch, within = divmod(trainer.done, per_epoch)
        if not within:
            presented[:, epoch - 1] = shown.values.cpu().numpy()
            presented.flush()
            refuse_diverged(trainer.model, epoch, params.lr)
            if epoch in kept:
                features = epoch in (first_tenth(params.epochs), params.recorded)
                _keep(ctx, folder, trainer.model, epoch, features=features)
        if not within or time.monotonic() - saved >= CHECKPOINT_S:
            now = {"version": _VERSION, "trainer": trainer.state(), "draws": draws.get_state(), "shown": shown.values}
            save_state(folder / _CHECKPOINT, now)
            saved = time.monotonic()
    (folder / _CHECKPOINT).unlink(missing_ok=True)


class _Epoch:
    """What the measures of each image were when the running epoch showed it: ``values`` [6, N]."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.values = torch.zeros(len(MEASURES), len(labels), device=labels.device)

    def see(self, index: Tensor, logits: Tensor) -> None:
        on_device = index.to(self.labels.device)
        self.values[:, on_device] = measures(logits, self.labels[on_device])


def _fetch(ctx: RunContext, params: DynamicsParams, draws: torch.Generator) -> Callable[[Tensor], Tensor]:
    dsa = DSA.for_dataset(ctx.dataset.flip)
    pick: Literal["batch", "all"] = "batch"
    if params.augment == "cropflip":
        dsa, pick = DSA.crop_and_flip(ctx.dataset.flip), "all"

    def fetch(index: Tensor) -> Tensor:
        images = ctx.train.images(index)
        if params.augment == "none":
            return images
        return dsa(images, dsa.draw(draws, n=len(images), pick=pick))

    return fetch


@torch.no_grad()
def _keep(ctx: RunContext, folder: Path, net: nn.Module, epoch: int, *, features: bool) -> None:
    """Write the network, its logits of all training images and, if asked for, their features."""
    net.eval()
    size = chunk_size(net, ctx.train.images(torch.tensor([0])))
    tensors = {_NET + name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
    logits, embeddings = [], []
    for index in torch.split(torch.arange(len(ctx.train)), size):
        images = ctx.train.images(index)
        logits.append(net(images).float().cpu())
        if features:
            embeddings.append(cast(Embedder, net).embed(images).float().cpu())
    tensors["logits"] = torch.cat(logits)
    if features:
        tensors["features"] = torch.cat(embeddings)
    net.train()
    temporary = kept_file(folder, epoch).with_suffix(".tmp")
    save_file(tensors, temporary)
    temporary.replace(kept_file(folder, epoch))
