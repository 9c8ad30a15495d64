"""Hyper-parameters of methods that rank training images by how a proxy net learned them. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.params import too_few_images
from ddbench.core.api import ClassCounts, Params
from ddbench.core.specs import ArtifactSpec, CellSpec, DatasetInfo

EARLY = 10
"""The proxy net is also kept at the end of each of so many first epochs."""


def kept_epochs(epochs: int) -> tuple[int, ...]:
    """After which epochs the proxy net and its logits are kept, ascending; 0: before training.

    Before training, after each of the first ten epochs, after the first tenth of them all, and at the end.
    """
    return tuple(sorted({*range(min(EARLY, epochs) + 1), first_tenth(epochs), epochs}))


def first_tenth(epochs: int) -> int:
    """The epoch by which a tenth of the training is done, at least 1."""
    return max(1, round(epochs / 10))


class ProxyParams(Params):
    """How the proxy net is trained whose dynamics are recorded.

    SGD with momentum .9 (Nesterov) and weight decay 5e-4: the recipe of CCS and D2 with the learning rate of the
    ConvNets.
    """

    epochs: PositiveInt = Field(default=200, description="passes of the proxy net over the training images")
    lr: float = Field(default=0.01, gt=0, description="learning rate of the proxy net at first [per update]")
    batch: PositiveInt = Field(default=256, description="images per update of the proxy net")
    schedule: Literal["cosine", "constant"] = Field(default="cosine", description="how the learning rate falls: to 0")
    augment: Literal["none", "cropflip", "dsa"] = Field(
        default="none", description="augmentation of the images that the proxy net is shown in training"
    )


class DynamicsParams(ProxyParams):
    """One network's dynamics.

    What is recorded up to ``stop`` does not depend on ``stop``, but an artifact is what was asked for.
    """

    stop: NonNegativeInt = Field(default=0, description="epochs after which the recording ends; 0: all")
    net: NonNegativeInt = Field(default=0, description="which of the repetition's networks")

    @property
    def recorded(self) -> int:
        """Epochs that are recorded."""
        return min(self.stop or self.epochs, self.epochs)


class DynamicsSelectorParams(ProxyParams):
    """Base for selectors that look at dynamics; equal values share one proxy net across methods and budgets."""

    @property
    def looked_at(self) -> int:
        """Epochs of the first network that the method looks at; here all."""
        return self.epochs

    @property
    def other_nets(self) -> int:
        """How many further networks of the repetition the method averages over, none of them beyond ``looked_at``."""
        return 0

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """Dynamics of the repetition's first network, called ``dynamics``, and of others, ``dynamics_1`` and so on."""
        proxy = self.model_dump(include=set(ProxyParams.model_fields))
        found = {}
        for net in range(1 + self.other_nets):
            params = DynamicsParams(**proxy, net=net, stop=max(1, self.looked_at) % self.epochs if net else 0)
            found[dynamics_name(net)] = ArtifactSpec(
                kind="dynamics", data=cell.data, arch=cell.arch, params=params.model_dump(),
                seed={"master": cell.master, "r": cell.r},
            )  # fmt: skip
        return found

    def opens(self, name: str, cell: CellSpec, data: DatasetInfo) -> float:
        """Of the first network's dynamics the epochs that the method looks at."""
        return self.looked_at / self.epochs if name == dynamics_name(0) else super().opens(name, cell, data)

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """A class cannot give more real images than it has."""
        return too_few_images(cell, data)


def dynamics_name(net: int) -> str:
    """What the artifact of a repetition's network is called."""
    return f"dynamics_{net}" if net else "dynamics"


Order = Literal["hard_first", "easy_first", "stratified"]
Balance = Literal["per_class", "global"]

ORDER = "which images of a ranking are kept: the hardest, the easiest, or some of all grades of hardness"
"""Description of ``order``."""
BALANCE = "each class gives as many images as the budget gives it, or the classes compete (global)"
"""Description of ``balance``."""


class BalanceParams(Params):
    """Base for methods whose images come from each class, or from all together; by default as their authors have it."""

    balance: Balance = Field(default="per_class", description=BALANCE)

    @property
    def class_counts(self) -> ClassCounts:
        """Of each class what the budget gives it, unless the classes compete."""
        return "total" if self.balance == "global" else "exact"


class DroppingParams(BalanceParams, DynamicsSelectorParams):
    """Base for methods that drop the hardest images before they choose."""

    beta: float = Field(default=0.0, ge=0, lt=1, description="β, share of the candidates dropped as the hardest")

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and where fewer would be left than are kept."""
        if (why := super().unsupported(cell, data)) is not None:
            return why
        groups = list(zip(cell.budget.resolve(data.counts), data.counts, strict=True))
        if self.balance == "global":
            groups = [(sum(n for n, _ in groups), data.n_train)]
        n, have = max(groups, key=lambda group: group[0] / max(1, group[1]))
        if dropped(self.beta, have) > have - n:
            return (
                f"beta {self.beta:g} leaves fewer than the {n} of {have} images to be kept: at most {1 - n / have:.2g}"
            )
        return None


def dropped(share: float, n: int) -> int:
    """How many of n are ⌊share · n⌋, of which .29 of 100 are 29, not 28.999…."""
    return int(share * n + 1e-9)


class ScoreParams(BalanceParams, DynamicsSelectorParams):
    """Base for methods that score every image: which of them are kept."""

    order: Order = Field(default="hard_first", description=ORDER)
    balance: Balance = Field(default="global", description=BALANCE)


class EarlyParams(ScoreParams):
    """Base for scores that are averaged over several young networks."""

    nets: PositiveInt = Field(default=5, description="networks whose scores are averaged before images are ranked")
    epoch: int = Field(
        default=-1, ge=-1, description="k, epochs of training before it; 0: untrained networks; -1: a tenth of all"
    )

    @property
    def looked_at(self) -> int:
        """Up to k."""
        return first_tenth(self.epochs) if self.epoch < 0 else self.epoch

    @property
    def other_nets(self) -> int:
        """All but the first."""
        return self.nets - 1

    @property
    def said(self) -> str:
        """When networks are looked at, as the record says it."""
        return f"scores are those after {self.looked_at} of {self.epochs} epochs"

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and epochs after which no network is kept."""
        if self.looked_at not in (kept := kept_epochs(self.epochs)):
            return f"epoch {self.epoch}: networks are kept after epochs {', '.join(map(str, kept))}"
        return super().unsupported(cell, data)


Margins = Literal["logits", "probabilities"]

MARGINS = "what margins are differences of"
"""Description of a parameter of type ``Margins``."""
