"""Gradients through a student's training: the exact one at constant memory, the unrolled one, and TESLA's.

A student starts at θ_0 and takes N SGD steps on batches of the synthetic set (images X, labels Y, step size β):

    g_i = ∇_θ ℓ(f(A_i(X[b_i]); θ_i), Y[b_i])      v_{i+1} = μ v_i + g_i      θ_{i+1} = θ_i − β v_{i+1}

and an outer loss L(θ_N) is differentiated in X, Y and β. ``unrolled`` keeps all N graphs. ``exact`` runs the steps
without graphs, then walks back with the adjoint λ = ∂L/∂θ_{i+1} (and w = ∂L/∂v_{i+1} = −β λ + μ w of the step after),
rebuilding one step's graph at a time:

    ∂L/∂β −= ⟨λ, v_{i+1}⟩      ∂L/∂X[b_i] += ∂⟨g_i, w⟩/∂X      ∂L/∂Y[b_i] += ∂⟨g_i, w⟩/∂Y      λ += ∂⟨g_i, w⟩/∂θ_i

the same number, at the memory of one step plus N parameter vectors. ``tesla`` (Cui et al., ICML 2023, eq. 6) leaves out
the last assignment, which is not the exact gradient for N > 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from ddbench.blocks.functional import FlatModel, flatten, is_fused, student_loss

Outer = Callable[[Tensor], Tensor]
"""Flat parameters [P] → scalar loss."""

Augment = Callable[[Tensor, int], Tensor]
"""(images [b, C, H, W], step) → images; pure in the step, so that a reverse pass can replay it."""

Gradients = Literal["exact", "unrolled", "tesla"]

TAPES = 192 * 10**6
"""Bytes for tapes of steps that are kept instead of made again; made again, they are the same to the bit."""


@dataclass(frozen=True, slots=True, eq=False)
class Unrolled:
    """An outer loss and its gradients.

    Attributes:
        loss: Scalar.
        grad_images: [n, C, H, W].
        grad_labels: [n, K] for float labels, None for hard ones.
        grad_lr: Scalar.
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
    """Train a student on a synthetic set and differentiate what became of it.

    Args:
        model: The student's network, without buffers; its own parameters are not touched.
        start: θ_0, [P] or a list of parameter tensors.
        batches: N index tensors [b] into the set, in order.
        images: X, [n, C, H, W].
        labels: Y, [n] int64 classes, or [n, K] float logits (the target is their softmax).
        lr: β.
        outer: L.
        augment: A_i.
        gradients: How to differentiate.
        momentum: μ.
        window: Differentiate only through the last so many steps (truncation); None: through all.
        keep_bytes: Memory that ``exact`` and ``tesla`` may spend on keeping graphs of steps instead of rebuilding them;
            None: none, or :data:`TAPES` where the network is fused. The result does not depend on it.

    Raises:
        ValueError: If there is no batch, or the window is not positive.
    """
    batches = list(batches)
    if not batches or (window is not None and window < 1):
        raise ValueError(f"{len(batches)} batches and window {window}: both must be positive")
    student = _Student(FlatModel.of(model), images.detach(), labels.detach(), augment)
    beta = torch.as_tensor(lr, dtype=images.dtype, device=images.device).detach()
    first = 0 if window is None else max(0, len(batches) - window)
    path = _Path(student, flatten(start), batches, beta, momentum, first)
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
    momentum: float
    first: int


def _unrolled(path: _Path, outer: Outer) -> Unrolled:
    """All graphs at once: the reference that ``exact`` agrees with."""
    student, start, beta, momentum, first = path.student, path.start, path.beta, path.momentum, path.first
    soft = student.labels.is_floating_point()
    images, labels, lr = student.images.clone().requires_grad_(), student.labels.clone(), beta.clone().requires_grad_()
    if soft:
        labels.requires_grad_()
    theta, velocity = start.clone().requires_grad_(), torch.zeros_like(start)
    for i, batch in enumerate(path.batches):
        if i == first:
            theta, velocity = theta.detach().requires_grad_(), velocity.detach()
        gradient = student.gradient(theta, images[batch], labels[batch], i, graph=i >= first)
        velocity = momentum * velocity + gradient
        theta = theta - lr * velocity
        if i < first:
            theta = theta.detach().requires_grad_()
    loss = outer(theta)
    wanted = [images, lr, *([labels] if soft else [])]
    grads = torch.autograd.grad(loss, wanted, allow_unused=True)
    found = [torch.zeros_like(x) if grad is None else grad for x, grad in zip(wanted, grads, strict=True)]
    return Unrolled(loss.detach(), found[0], found[2] if soft else None, found[1], theta.detach())


def _reverse(path: _Path, outer: Outer, *, exact: bool, keep_bytes: int | None) -> Unrolled:
    """Forward without graphs, then back step by step."""
    student, start, batches, beta = path.student, path.start, path.batches, path.beta
    momentum, first = path.momentum, path.first
    thetas, velocities = [start], [torch.zeros_like(start)]
    kept: dict[int, _Step] = {}
    ration = _Ration(TAPES if keep_bytes is None and student.taped else keep_bytes or 0)
    for i, batch in enumerate(batches):
        left = sum(map(len, batches[i:]))
        if i >= first and ration.allows(left):
            made = student.step(thetas[i], batch, i, measured=ration.per_image == 0)
            ration.per_image = ration.per_image or made.nbytes / len(batch)
            if ration.allows(left):  # the first one was made to find out
                kept[i] = made
            gradient = made.gradient
            del made
        else:
            gradient = student.plain(thetas[i], batch, i)
        velocities.append(momentum * velocities[i] + gradient)
        thetas.append(thetas[i] - beta * velocities[i + 1])
    end = thetas[-1].detach().requires_grad_()
    loss = outer(end)
    (adjoint,) = torch.autograd.grad(loss, end)
    grad_images, grad_lr = torch.zeros_like(student.images), torch.zeros_like(beta)
    grad_labels = torch.zeros_like(student.labels) if student.labels.is_floating_point() else None
    pull = torch.zeros_like(adjoint)
    for i in range(len(batches) - 1, first - 1, -1):
        grad_lr -= torch.dot(adjoint, velocities[i + 1])
        pull = momentum * pull - beta * adjoint
        step = kept.pop(i) if i in kept else student.step(thetas[i], batches[i], i)
        of_images, of_labels, of_theta = step.pull(pull, theta=exact)
        grad_images.index_add_(0, batches[i].to(grad_images.device), of_images)
        if grad_labels is not None and of_labels is not None:
            grad_labels.index_add_(0, batches[i].to(grad_labels.device), of_labels)
        if of_theta is not None:
            adjoint = adjoint + of_theta
        thetas.pop()
        velocities.pop()
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
