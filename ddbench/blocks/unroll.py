"""Gradients through a student's training: the exact one at constant memory, the unrolled one, and TESLA's.

A student starts at θ_0 and takes N steps on batches of the synthetic set (images X, labels Y), here of SGD (step sizes
β_i; Adam stands beside it in :mod:`ddbench.blocks.inner`):

    g_i = ∇_θ ℓ(f(A_i(X[b_i]); θ_i), Y[b_i])      v_{i+1} = μ v_i + g_i      θ_{i+1} = θ_i − β_i v_{i+1}

and an outer loss L(θ_N) is differentiated in X, Y and β. ``unrolled`` keeps all N graphs. ``exact`` runs the steps
without graphs, then walks back with the adjoint λ = ∂L/∂θ_{i+1} (and w = ∂L/∂g_i = −β_i λ + μ w of the step after),
rebuilding one step's graph at a time:

    ∂L/∂β_i −= ⟨λ, v_{i+1}⟩    ∂L/∂X[b_i] += ∂⟨g_i, w⟩/∂X    ∂L/∂Y[b_i] += ∂⟨g_i, w⟩/∂Y    λ += ∂⟨g_i, w⟩/∂θ_i

the same number, at the memory of one step plus parameter vectors: θ_i and the moments of each step. ``tesla`` (Cui et
al., ICML 2023, eq. 6) leaves out the last assignment, which is not the exact gradient for N > 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from ddbench.blocks.functional import FlatModel, flatten, is_fused, student_loss
from ddbench.blocks.inner import Inner, Moments, SGDInner
from ddbench.core.settings import keeps_memory

Outer = Callable[[Tensor], Tensor]
"""Flat parameters [P] → scalar loss."""

Augment = Callable[[Tensor, int], Tensor]
"""(images [b, C, H, W], step) → images; pure in the step, so that a reverse pass can replay it."""

Gradients = Literal["exact", "unrolled", "tesla"]

TAPES = 192 * 10**6
"""Bytes for tapes of steps that are kept instead of made again; made again, they are the same to the bit. None are kept
where ``$DDBENCH_KEEP_MEMORY`` is ``0``."""


@dataclass(frozen=True, slots=True, eq=False)
class Unrolled:
    """An outer loss and its gradients.

    Attributes:
        loss: Scalar.
        grad_images: [n, C, H, W].
        grad_labels: [n, K] for float labels, None for hard ones.
        grad_lr: Scalar, or [N] where each step has a size of its own (0 before the window).
        final: [P], the student's last parameters.
    """

    loss: Tensor
    grad_images: Tensor
    grad_labels: Tensor | None
    grad_lr: Tensor
    final: Tensor


class _Step(Protocol):
    """One step's gradient, and what it takes to differentiate it again."""

    gradient: Tensor
    """[P], detached."""
    nbytes: int
    """What it holds, if that was asked for."""

    def pull(self, along: Tensor, *, theta: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The gradients of ⟨gradient, along⟩ in the batch's images, in its float labels, and in θ if that is wanted."""
        ...


def backward(
    model: nn.Module,
    start: Tensor | Sequence[Tensor],
    batches: Tensor | Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    lr: float | Tensor,
    *,
    outer: Outer,
    augment: Augment | None = None,
    gradients: Gradients = "exact",
    momentum: float = 0.0,
    window: int | None = None,
    keep_bytes: int | None = None,
) -> Unrolled:
    """Train a student by SGD on a synthetic set and differentiate what became of it: as :func:`through` does.

    Args:
        model: As there, as all that is not named here.
        start: As there.
        batches: As there.
        images: As there.
        labels: As there.
        lr: β, of all steps, or [N].
        outer: As there.
        augment: As there.
        gradients: As there.
        momentum: μ.
        window: As there.
        keep_bytes: As there.
    """
    return through(
        model, start, batches, images, labels, SGDInner(lr, momentum), outer=outer, augment=augment,
        gradients=gradients, window=window, keep_bytes=keep_bytes,
    )  # fmt: skip


def through(
    model: nn.Module,
    start: Tensor | Sequence[Tensor],
    batches: Tensor | Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    inner: Inner,
    *,
    outer: Outer,
    augment: Augment | None = None,
    gradients: Gradients = "exact",
    window: int | None = None,
    keep_bytes: int | None = None,
) -> Unrolled:
    """Train a student on a synthetic set and differentiate what became of it.

    Args:
        model: The student's network, without buffers; its own parameters are not touched.
        start: θ_0, [P] or a list of parameter tensors.
        batches: N index tensors [b] into the set, in order.
        images: X, [n, C, H, W].
        labels: Y, [n] int64 classes, or [n, K] float logits (the target is their softmax).
        inner: How the student is trained, step sizes included.
        outer: L.
        augment: A_i.
        gradients: How to differentiate.
        window: Differentiate only through the last so many steps (truncation): where they begin, θ and the optimiser's
            moments are constants, and its count of steps goes on. None: through all.
        keep_bytes: Memory that ``exact`` and ``tesla`` may spend on keeping graphs of steps instead of rebuilding them;
            None: none, or :data:`TAPES` where the network is fused. The result does not depend on it.

    Raises:
        ValueError: If there is no batch, the window is not positive, or step sizes are fewer or more than steps.
    """
    batches = list(batches)
    if not batches or (window is not None and window < 1):
        raise ValueError(f"{len(batches)} batches and window {window}: both must be positive")
    student = _Student(FlatModel.of(model), images.detach(), labels.detach(), augment)
    beta = torch.as_tensor(inner.lr, dtype=images.dtype, device=images.device).detach()
    if beta.ndim and beta.shape != (len(batches),):
        raise ValueError(f"step sizes of shape {list(beta.shape)} for {len(batches)} steps")
    first = 0 if window is None else max(0, len(batches) - window)
    path = _Path(student, flatten(start), batches, beta, inner, first)
    if gradients == "unrolled":
        return _unrolled(path, outer)
    return _reverse(path, outer, exact=gradients == "exact", keep_bytes=keep_bytes)


def walk(
    model: nn.Module,
    start: Tensor,
    batches: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    lr: float | Tensor,
    *,
    augment: Augment | None = None,
) -> Tensor:
    """Train a student as :func:`backward` does, without momentum and without gradients of where it ends.

    Args:
        model: The student's network, without buffers.
        start: θ_0, [P].
        batches: N index tensors [b] into the set, in order.
        images: X, [n, C, H, W].
        labels: Y, [n] int64 classes, or [n, K] float logits.
        lr: β.
        augment: A_i.

    Returns:
        θ_N, [P].
    """
    student = _Student(FlatModel.of(model), images.detach(), labels.detach(), augment)
    theta = flatten(start)
    for i, batch in enumerate(batches):
        theta = theta - lr * student.plain(theta, batch, i)
    return theta


@dataclass(frozen=True, slots=True)
class _Student:
    """What a step computes."""

    model: FlatModel
    images: Tensor
    labels: Tensor
    augment: Augment | None

    @property
    def taped(self) -> bool:
        """Whether the network writes its second derivatives out itself (:mod:`ddbench.models.fused`)."""
        return is_fused(self.model.model)

    def gradient(self, theta: Tensor, images: Tensor, labels: Tensor, step: int, *, graph: bool) -> Tensor:
        """g_i at ``theta`` for a batch that is cut out already."""
        loss = student_loss(self.model(theta, self.seen(images, step)), labels)
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=graph)
        return gradient

    def seen(self, images: Tensor, step: int) -> Tensor:
        """A batch as the network sees it."""
        return images if self.augment is None else self.augment(images, step)

    def step(self, theta: Tensor, batch: Tensor, step: int, *, measured: bool = False) -> _Step:
        """g_i, to be differentiated again."""
        return (_Taped if self.taped else _Graph)(self, theta, batch, step, measured)

    def plain(self, theta: Tensor, batch: Tensor, step: int) -> Tensor:
        """g_i without a graph."""
        leaf = theta.detach().requires_grad_()
        return self.gradient(leaf, self.images[batch], self.labels[batch], step, graph=False)


class _Graph:
    """A step with the graph of its gradient to θ_i, the batch's images and its labels."""

    def __init__(self, student: _Student, theta: Tensor, batch: Tensor, step: int, measured: bool) -> None:
        self.theta = theta.detach().requires_grad_()
        self.images, self.labels = student.images[batch].requires_grad_(), student.labels[batch]
        if self.labels.is_floating_point():
            self.labels.requires_grad_()
        seen: dict[int, int] = {}
        with _noting(seen) if measured else nullcontext():
            self._made = student.gradient(self.theta, self.images, self.labels, step, graph=True)
        self.gradient, self.nbytes = self._made.detach(), sum(seen.values())

    def pull(self, along: Tensor, *, theta: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        soft = [self.labels] if self.labels.requires_grad else []
        wanted = [self.images, *soft, *([self.theta] if theta else [])]
        found = list(torch.autograd.grad(self._made, wanted, grad_outputs=along))
        return found[0], found[1] if soft else None, found[-1] if theta else None


def _noting(seen: dict[int, int]) -> torch.autograd.graph.saved_tensors_hooks:
    """Notes the storages that a graph saves, and their bytes."""

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


class _Taped:
    """A step whose second derivatives the network writes out itself; the graph is that of the augmentation alone."""

    def __init__(self, student: _Student, theta: Tensor, batch: Tensor, step: int, measured: bool) -> None:
        self._images, self._views = student.images[batch].requires_grad_(), student.model.views
        self._seen = student.seen(self._images, step)
        network = cast("Any", student.model.model)
        self._tape = network.tape(self._views(theta.detach()), self._seen.detach(), student.labels[batch], student_loss)
        self.gradient, self.nbytes = flatten(self._tape.gradient), self._tape.nbytes

    def pull(self, along: Tensor, *, theta: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        seen, labels, parameters = self._tape.pull(self._views(along), parameters=theta)
        (images,) = torch.autograd.grad(self._seen, self._images, grad_outputs=seen)
        return images, labels, flatten(parameters) if theta else None


@dataclass(frozen=True, slots=True)
class _Path:
    """A training to differentiate; ``first`` is the first step that is."""

    student: _Student
    start: Tensor
    batches: list[Tensor]
    beta: Tensor
    inner: Inner
    first: int


def _rate(beta: Tensor, step: int) -> Tensor:
    """β of a step."""
    return beta[step] if beta.ndim else beta


def _unrolled(path: _Path, outer: Outer) -> Unrolled:
    """All graphs at once: the reference that ``exact`` agrees with."""
    student, inner, first = path.student, path.inner, path.first
    soft = student.labels.is_floating_point()
    images, labels = student.images.clone().requires_grad_(), student.labels.clone()
    lr = path.beta.clone().requires_grad_(inner.learned)
    if soft:
        labels.requires_grad_()
    theta, moments = path.start.clone().requires_grad_(), inner.begin(path.start)
    for i, batch in enumerate(path.batches):
        if i == first:
            theta, moments = _constant(theta, moments)
        gradient = student.gradient(theta, images[batch], labels[batch], i, graph=i >= first)
        theta, moments = inner.move(theta, moments, gradient, _rate(lr, i), i)
        if i < first:
            theta, moments = _constant(theta, moments)
    loss = outer(theta)
    wanted = [images, *([lr] if inner.learned else []), *([labels] if soft else [])]
    grads = torch.autograd.grad(loss, wanted, allow_unused=True)
    found = [torch.zeros_like(x) if grad is None else grad for x, grad in zip(wanted, grads, strict=True)]
    of_lr = found[1] if inner.learned else torch.zeros_like(path.beta)
    return Unrolled(loss.detach(), found[0], found[-1] if soft else None, of_lr, theta.detach())


def _constant(theta: Tensor, moments: Moments) -> tuple[Tensor, Moments]:
    """The same as the start of another graph."""
    return theta.detach().requires_grad_(), tuple(one.detach() for one in moments)


def _reverse(path: _Path, outer: Outer, *, exact: bool, keep_bytes: int | None) -> Unrolled:
    """Forward without graphs, then back step by step."""
    student, batches, beta, inner, first = path.student, path.batches, path.beta, path.inner, path.first
    theta, moments = path.start, inner.begin(path.start)
    thetas: list[Tensor] = []
    after: list[Moments] = []
    kept: dict[int, _Step] = {}
    tapes = TAPES if student.taped and keeps_memory() else 0
    ration = _Ration(tapes if keep_bytes is None else keep_bytes)
    left = sum(map(len, batches))
    for i, batch in enumerate(batches):
        if i >= first and ration.allows(left):
            made = student.step(theta, batch, i, measured=ration.per_image == 0)
            ration.per_image = ration.per_image or made.nbytes / len(batch)
            if ration.allows(left):  # the first one was made to find out
                kept[i] = made
            gradient = made.gradient
            del made
        else:
            gradient = student.plain(theta, batch, i)
        if i >= first:
            thetas.append(theta)
        theta, moments = inner.move(theta, moments, gradient, _rate(beta, i), i)
        if i >= first:
            after.append(moments if inner.remembers else ())
        left -= len(batch)
    end = theta.detach().requires_grad_()
    loss = outer(end)
    (adjoint,) = torch.autograd.grad(loss, end)
    grad_images, grad_lr = torch.zeros_like(student.images), torch.zeros_like(beta)
    grad_labels = torch.zeros_like(student.labels) if student.labels.is_floating_point() else None
    carried = tuple(torch.zeros_like(one) for one in moments)
    for i in range(len(batches) - 1, first - 1, -1):
        theta = thetas.pop()
        step = kept.pop(i) if i in kept else student.step(theta, batches[i], i)
        pulled = inner.pull(adjoint, carried, after.pop(), step.gradient, _rate(beta, i), i)
        _rate(grad_lr, i).add_(pulled.rate)
        carried = pulled.moments
        of_images, of_labels, of_theta = step.pull(pulled.gradient, theta=exact)
        grad_images.index_add_(0, batches[i].to(grad_images.device), of_images)
        if grad_labels is not None and of_labels is not None:
            grad_labels.index_add_(0, batches[i].to(grad_labels.device), of_labels)
        if of_theta is not None:
            adjoint = adjoint + of_theta
        del step, of_images, of_labels, of_theta  # before the next step is made again: only one is ever in memory
    return Unrolled(loss.detach(), grad_images, grad_labels, grad_lr, end.detach())


@dataclass(slots=True)
class _Ration:
    """How many steps fit into a number of bytes: the last ones, because they are used up first.

    Attributes:
        budget: Bytes.
        per_image: Bytes of one image of a step; 0: the first step is made to find out.
    """

    budget: int
    per_image: float = 0.0

    def allows(self, images: int) -> bool:
        """Whether steps on so many images in all fit."""
        return self.budget > 0 and images * self.per_image <= self.budget
