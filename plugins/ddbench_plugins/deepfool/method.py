"""DeepFool (Moosavi-Dezfooli, Fawzi & Frossard, CVPR 2016, algorithm 2) as a score (Ducoffe & Precioso, 2018).

From an image x₀ which the trained network takes for class ŷ, until it takes x for another one:

    f_k = z_k(x) − z_ŷ(x),    w_k = ∇ f_k(x)                      for every class k ≠ ŷ,
    l   = argmin_k |f_k| / ‖w_k‖                                  the nearest boundary, were the network linear,
    r  ← r + |f_l| / ‖w_l‖² w_l,    x ← x₀ + (1 + η) r            η = .02, the overshoot.

An image is the harder, the smaller ‖r‖² is; one that never crosses is easiest of all. ŷ is the predicted class, whether
it is right or not, as in the attack.
Symbols: n images, K classes.
"""

import torch
from torch import Tensor, nn

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics
from ddbench.blocks.features import chunk_size, frozen
from ddbench.blocks.ranking import ranked, require_numbers
from ddbench_plugins.deepfool.params import DeepFoolParams

CHUNK_BYTES = 2**28
"""Of the gradients of a chunk of images."""


class DeepFool(Selector[DeepFoolParams]):
    """Keeps images near the decision boundary."""

    def select(self, ctx: RunContext) -> Selection:
        """Push every image across the boundary, then rank by how little it took."""
        p, dynamics = self.params, Dynamics.of(ctx)
        example = ctx.train.images(torch.tensor([0]))
        net = frozen(dynamics.net(ctx), example)
        size = min(chunk_size(net, example), CHUNK_BYTES // (ctx.dataset.classes * example.nbytes))
        parts = torch.split(torch.arange(len(ctx.train)), max(1, size))
        squares, stayed = [], []
        for done, index in enumerate(parts):
            r, left = deepfool(net, ctx.train.images(index), p.iterations, p.overshoot)
            squares.append(r.flatten(1).double().square().sum(1).cpu())
            stayed.append(index[left.cpu()])
            ctx.progress(done + 1, len(parts), "chunks of images pushed to the boundary")
        found, short = torch.cat(squares), torch.cat(stayed)
        require_numbers(found.masked_fill(found.isinf(), 0.0))  # what never crosses may be moved without end
        if len(short):
            ctx.warn(f"{len(short)} of {len(ctx.train)} images did not cross the boundary within {p.iterations} steps")
            found[short] = 0.0
            found[short] = 2 * found.max() + 1  # however far they went: further away than any other
        return ranked(ctx, -found, p)


def deepfool(net: nn.Module, images: Tensor, iterations: int, overshoot: float) -> tuple[Tensor, Tensor]:
    """What moves each image across the decision boundary.

    Args:
        net: In eval mode, its parameters frozen.
        images: [n, C, H, W].
        iterations: At most.
        overshoot: η.

    Returns:
        r, without the overshoot, [n, C, H, W]; and positions of images that it does not move across.
    """
    predicted, r = classes(net, images), torch.zeros_like(images)
    left = torch.arange(len(images), device=images.device)
    for _ in range(iterations):
        logits, gradients = with_gradients(net, images[left] + (1 + overshoot) * r[left])
        r[left] += step(logits, gradients, predicted[left]).view(len(left), *images.shape[1:])
        left = left[classes(net, images[left] + (1 + overshoot) * r[left]) == predicted[left]]
        if not len(left):
            break
    return r, left


@torch.no_grad()
def classes(net: nn.Module, images: Tensor) -> Tensor:
    """What a network takes images [n, C, H, W] for: [n] int64."""
    found: Tensor = net(images).argmax(1)
    return found


def step(logits: Tensor, gradients: Tensor, own: Tensor) -> Tensor:
    """The shortest step onto a boundary of the linearised network, none where no class has a gradient: [n, P].

    Args:
        logits: [n, K].
        gradients: Of each logit in the image's P values, [n, K, P].
        own: The class to be left, [n].
    """
    rows = torch.arange(len(own), device=own.device)
    f = (logits - logits[rows, own, None]).abs()
    w = gradients - gradients[rows, own, None]
    lengths = w.norm(dim=2)
    nearest = (f / lengths).where(lengths > 0, torch.inf).scatter(1, own[:, None], torch.inf).argmin(1)
    towards = w[rows, nearest]
    squares = towards.square().sum(1)
    return (f[rows, nearest] / squares.where(squares > 0, 1.0))[:, None] * towards


def with_gradients(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [n, K], and the gradient of each in the image's values, [n, K, P]; all images at once, class by class."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = net(x)
        found = [torch.autograd.grad(z.sum(), x, retain_graph=True)[0].flatten(1) for z in logits.unbind(1)]
    return logits.detach(), torch.stack(found, dim=1)
