"""Herding of one class against its formula and DeepCore's: `python -m benchmarks.selection`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.kit import peers
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

if TYPE_CHECKING:
    from torch import Tensor

N, D = 5000, 2048

ROWS = [
    Row(
        "selection herding ipc 50", f"herding: 50 of {N:,} images of one class by {D:,} features", Case(ipc=50),
        "benchmarks.selection", (Goal("ratio", 2.0),), peers.DEEPCORE,
    )
]  # fmt: skip


def features(case: Case) -> Tensor:
    """Clusters, cut off at 0 as behind a ReLU: [5000, 2048] float32."""
    import torch

    torch.set_num_threads(case.threads)
    draws = torch.Generator().manual_seed(0)
    centres = torch.randn(20, D, generator=draws)
    noise = torch.randn(N, D, generator=draws)
    return (noise + centres[torch.randint(20, (N,), generator=draws)]).relu().to(case.device)


def ours(case: Case, turns: Turns) -> None:
    """In float32, as features are stored, decided in float64, as the selector does."""
    from benchmarks.kit.ours import apply_engine

    apply_engine(case)
    from ddbench_plugins.herding.method import herd

    h = features(case)
    turns.serve(lambda: herd(h, case.ipc))


def reference(case: Case, turns: Turns) -> None:
    from tests.parity.reference.herding import herd

    h = features(case)
    turns.serve(lambda: herd(h, case.ipc))


def authors(case: Case, turns: Turns) -> None:
    """Their method takes the arg max: another choice, the same work."""
    import types

    herding, utils = peers.load(peers.DEEPCORE, case, "deepcore.methods.herding", "deepcore.methods.methods_utils")
    h = features(case)
    selector = object.__new__(herding.Herding)
    selector.metric, selector.n_train = utils.euclidean_dist, N
    selector.args = types.SimpleNamespace(print_freq=10**9, device=case.device)
    turns.serve(lambda: selector.herding(h, case.ipc))


if __name__ == "__main__":
    main(ROWS)
