"""TDDS: temporal dual-depth scoring (Zhang et al., CVPR 2024), as its authors' code has it.

With p_t the prediction after epoch t of T, and windows of J epochs:

    kd_t = Σ_c | p_{t+1,c} (log(p_{t+1,c} + 1e-8) − log(p_{t,c} + 1e-8)) |       how much the prediction changed,
    r_k  = √ Σ_{t in window k} (kd_t − mean of the window's J − 1)²             how unevenly,
    s    = Σ_{k=0}^{T−J} δ (1 − δ)^{T−J−k} r_k                                  late windows count most, δ = .9;

the larger, the harder. Symbols: N images, K classes.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics
from ddbench.blocks.ranking import ranked
from ddbench_plugins.tdds.params import TDDSParams


class TDDS(Selector[TDDSParams]):
    """Keeps images whose predictions changed most unevenly."""

    def select(self, ctx: RunContext) -> Selection:
        """Score the first T epochs' predictions, then rank."""
        p, dynamics = self.params, Dynamics.of(ctx)
        logits = torch.stack([dynamics.logits(epoch) for epoch in range(1, p.trajectory + 1)])
        return ranked(ctx, tdds(logits, p.window, p.decay), p)


def tdds(logits: Tensor, window: int, decay: float) -> Tensor:
    """The score s.

    Args:
        logits: [T, N, K].
        window: J ≤ T.
        decay: δ.

    Returns:
        [N] float64, ≥ 0.
    """
    changed = changes(logits)
    unevenness = torch.stack([
        (one - one.mean(0)).norm(dim=0) for one in changed.unfold(0, window - 1, 1).movedim(-1, 1)
    ])  # fmt: skip
    ages = torch.arange(len(unevenness) - 1, -1, -1)
    weights = decay * torch.tensor(1 - decay, dtype=torch.float64) ** ages
    return (weights[:, None] * unevenness).sum(0)


def changes(logits: Tensor) -> Tensor:
    """kd: [T − 1, N] float64, from logits [T, N, K]."""
    p = logits.double().softmax(2)
    log_p = (p + 1e-8).log()
    return (p[1:] * (log_p[1:] - log_p[:-1])).abs().sum(2)
