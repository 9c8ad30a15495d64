"""Herding as its formula says: oracle of the fast rule, and baseline of its speed."""

from __future__ import annotations

import torch
from torch import Tensor


def herd(h: Tensor, n: int) -> Tensor:
    """argmin_x ‖ (k + 1) μ − Σ_{selected} h − h(x) ‖, n times, over the rows of [N, D] not yet selected: [n] int64."""
    mean, selected = h.mean(dim=0), []
    for k in range(n):
        left = torch.tensor([i for i in range(len(h)) if i not in selected])
        wanted = (k + 1) * mean - h[selected].sum(dim=0)
        selected.append(int(left[int((wanted - h[left]).norm(dim=1).argmin())]))
    return torch.tensor(selected)
