"""GLISTER (Killamsetty, Sivasubramanian, Ramakrishnan & Iyer, AAAI 2021, algorithm 2, last layer only), by class.

Greedily choose images such that a step on them lowers the loss on validation images most. To first order that is

    argmax_x ⟨g_x, g_val⟩        over images not yet picked,

g the gradients in the last layer and g_val their mean over validation images. After every pick g_val is taken anew
where a step on the mean gradient Δ = [Δb, ΔW] of all picks leads, at which the validation logits are z − η (Δb + ΔW f).

Deltas: gradients are those of one softmax; validation images are the cell's own, of the class whose images are chosen;
the set is chosen once, when the proxy net is trained. (DeepCore's code means to take g_val anew, but never does.)
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features, last_layer
from ddbench.blocks.dynamics import Dynamics
from ddbench.blocks.features import Outputs
from ddbench.blocks.greedy import first_of_largest
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench.blocks.sampling import Group
from ddbench_plugins.glister.params import GLISTERParams


class GLISTER(Selector[GLISTERParams]):
    """Keeps images that teach what validation asks for, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Let the network say what it says of val, then choose for every class."""
        p, dynamics = self.params, Dynamics.of(ctx)
        train = Outputs(dynamics.features(), dynamics.logits(dynamics.epochs))
        val, labels = features.outputs(ctx, dynamics.net(ctx), ctx.val), ctx.val.labels.cpu()
        features.refuse_nan(val, "validation images")

        def rule(gradients: Gradients, group: Group) -> Picks:
            own = torch.ones_like(labels, dtype=torch.bool) if group.c is None else labels == group.c
            parts = (one[own].to(ctx.device) for one in (*val, labels))
            return Picks(choose(gradients, *parts, n=group.n, eta=p.step_size))

        return last_layer.select(ctx, train, p.balance, rule)


def choose(gradients: Gradients, f: Tensor, z: Tensor, y: Tensor, *, n: int, eta: float) -> Tensor:
    """The rows that GLISTER picks, in order.

    Args:
        gradients: Of N images.
        f: Features of m ≥ 1 validation images, [m, D].
        z: Their logits, [m, K].
        y: Their labels, [m] int64.
        n: How many rows to pick, ≤ N.
        eta: η.

    Returns:
        [n] int64, distinct; of equals the first.
    """
    val = Gradients.of(f, z, y)
    start, free = z.double(), torch.ones_like(gradients.e[:, 0], dtype=torch.bool)
    picked: list[Tensor] = []
    for _ in range(n):
        gains = gradients.dot(val.mean())
        best = first_of_largest(gains.where(free, -torch.inf), gains.abs().max())
        picked.append(best)
        free[best] = False
        step = gradients.take(torch.stack(picked)).mean()
        val = val.with_logits(start - eta * val.h @ step.T, y)
    return torch.stack(picked)
