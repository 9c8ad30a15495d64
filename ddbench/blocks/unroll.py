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
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ddbench.blocks.functional import FlatModel, flatten, student_loss

Outer = Callable[[Tensor], Tensor]
"""Flat parameters [P] → scalar loss."""

Augment = Callable[[Tensor, int], Tensor]
"""(images [b, C, H, W], step) → images; pure in the step, so that a reverse pass can replay it."""

Gradients = Literal["exact", "unrolled", "tesla"]


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


@dataclass(frozen=True, slots=True)
class _Graph:
    """One step's gradient with the graph that leads to it."""

    theta: Tensor
    images: Tensor
    labels: Tensor
    gradient: Tensor


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
            None: none. The result does not depend on it.

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
    return _reverse(path, outer, exact=gradients == "exact", keep_bytes=keep_bytes or 0)


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

    def gradient(self, theta: Tensor, images: Tensor, labels: Tensor, step: int, *, graph: bool) -> Tensor:
        """g_i at ``theta`` for a batch that is cut out already."""
        batch = images if self.augment is None else self.augment(images, step)
        loss = student_loss(self.model(theta, batch), labels)
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=graph)
        return gradient

    def graph(self, theta: Tensor, batch: Tensor, step: int) -> _Graph:
        """g_i with its graph to θ_i, the batch's images and its labels."""
        theta = theta.detach().requires_grad_()
        images = self.images[batch].requires_grad_()
        labels = self.labels[batch]
        if labels.is_floating_point():
            labels.requires_grad_()
        return _Graph(theta, images, labels, self.gradient(theta, images, labels, step, graph=True))

    def plain(self, theta: Tensor, batch: Tensor, step: int) -> Tensor:
        """g_i without a graph."""
        leaf = theta.detach().requires_grad_()
        return self.gradient(leaf, self.images[batch], self.labels[batch], step, graph=False)


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


def _reverse(path: _Path, outer: Outer, *, exact: bool, keep_bytes: int) -> Unrolled:
    """Forward without graphs, then back step by step."""
    student, start, batches, beta = path.student, path.start, path.batches, path.beta
    momentum, first = path.momentum, path.first
    thetas, velocities = [start], [torch.zeros_like(start)]
    kept: dict[int, _Graph] = {}
    ration = _Ration(keep_bytes)
    for i, batch in enumerate(batches):
        if i >= first and ration.allows(sum(map(len, batches[i:]))):
            with ration.counting(len(batch)):
                kept[i] = student.graph(thetas[i], batch, i)
            gradient = kept[i].gradient.detach()
            if not ration.allows(len(batch)):  # one graph alone is too much: that is known now
                del kept[i]
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
        graph = kept.pop(i) if i in kept else student.graph(thetas[i], batches[i], i)
        wanted = [graph.images, *([graph.labels] if grad_labels is not None else []), *([graph.theta] if exact else [])]
        found = list(torch.autograd.grad(graph.gradient, wanted, grad_outputs=pull))
        grad_images.index_add_(0, batches[i].to(grad_images.device), found.pop(0))
        if grad_labels is not None:
            grad_labels.index_add_(0, batches[i].to(grad_labels.device), found.pop(0))
        if exact:
            adjoint = adjoint + found.pop(0)
        thetas.pop()
        velocities.pop()
        del graph, found, wanted  # before the next step's graph is built: only one is ever in memory
    return Unrolled(loss.detach(), grad_images, grad_labels, grad_lr, end.detach())


class _Ration:
    """How many steps' graphs fit into a number of bytes: the last ones, because they are used up first."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.per_image = 0.0

    def allows(self, images: int) -> bool:
        """Whether the graphs of steps on so many images in all fit; the first graph is made to find out."""
        if self.budget == 0:
            return False
        return self.per_image == 0 or images * self.per_image <= self.budget

    def counting(self, images: int) -> torch.autograd.graph.saved_tensors_hooks:
        """Measures what the first graph saves, on so many images."""
        seen: set[int] = set()

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                if not measured:
                    self.per_image += storage.nbytes() / images
            return tensor

        measured = self.per_image > 0
        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
