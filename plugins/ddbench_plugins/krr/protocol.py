"""krr (Nguyen et al., "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR 2021): no network is trained.

    f(x) = K_xs (K_ss + λ I)⁻¹ y_s,   λ = ρ tr(K_ss) / n

K: the neural tangent kernel of a named network; y_s: the set's labels, centred. ρ is chosen on val for every set by
itself. Val is part of the set of ``full``: there every tenth image of each class stands in for it, and the chosen ρ is
used on all images.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from ddbench import CondensedSet, EvalInputs, EvalProtocol, Images, Predictor
from ddbench.blocks.kernel_names import kernel
from ddbench.blocks.kernel_ridge import coefficients, solutions, targets
from ddbench.blocks.kernels import cross, gram
from ddbench_plugins.krr.params import KRRParams

HELD_OUT = 10
"""Of so many images of each class of ``full`` one is left out to choose the ridge."""
AT_ONCE = 1024
"""Images of val that are predicted at once."""


class KRR(EvalProtocol):
    """Solves for coefficients instead of training."""

    def fit(
        self, condensed: CondensedSet, make_model: Callable[[int], nn.Module], seed: int, artifacts: EvalInputs
    ) -> Predictor:
        """See :class:`ddbench.EvalProtocol`; nothing is drawn, and no network is made."""
        p: KRRParams = artifacts.params
        named, val = kernel(p.kernel), artifacts.val
        y = targets(condensed, artifacts.dataset.classes).to(artifacts.device)
        x = artifacts.train.images(condensed.indices) if condensed.images is None else condensed.images
        x = x.to(artifacts.device)
        if (why := named.unsupported(x.shape[-1], len(x))) is not None:
            raise ValueError(why)
        within = gram(named, x)
        if val is None:
            rest, held = parted(y.argmax(1))
            found = solutions(within[rest][:, rest], y[rest], p.ridges)
            top1 = accuracies([within[held][:, rest]], y[held].argmax(1), found)
        else:
            found = solutions(within, y, p.ridges)
            top1 = accuracies((cross(named, batch, x) for batch in batches(val)), val.labels, found)
        best = max(top1, key=top1.__getitem__)  # the first of equals
        artifacts.note("ridge", best)
        artifacts.note("ridge_val_top1", {f"{ridge:g}": accuracy for ridge, accuracy in top1.items()})
        alpha = coefficients(within, y, best) if val is None else found[best]

        def predict(images: Tensor) -> Tensor:
            return (cross(named, images, x) @ alpha).to(images.dtype)

        return predict


def parted(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of what is solved for, and of every tenth image of each class: int64, ascending.

    Args:
        classes: [n] int64.
    """
    held = torch.zeros_like(classes, dtype=torch.bool)
    for c in sorted(set(classes.tolist())):
        held[(classes == c).nonzero().flatten()[HELD_OUT - 1 :: HELD_OUT]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def batches(val: Images) -> Iterator[Tensor]:
    """The images of val, some at a time."""
    for index in torch.split(torch.arange(len(val)), AT_ONCE):
        yield val.images(index)


def accuracies(rows: Iterable[Tensor], labels: Tensor, found: dict[float, Tensor]) -> dict[float, float]:
    """Top-1 accuracy of each solution [%].

    Args:
        rows: Of K_vs, [·, n] each; each is used once, for all solutions.
        labels: [v] int64, of all rows.
        found: Ridge → coefficients [n, K].
    """
    stacked = torch.stack([*found.values()])
    predicted = torch.cat([(row @ stacked).argmax(2) for row in rows], 1)
    hits = (predicted == labels.to(predicted.device)).double().mean(1) * 100
    return dict(zip(found, hits.tolist(), strict=True))
