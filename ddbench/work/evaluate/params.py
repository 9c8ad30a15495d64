"""Parameters of the SGD protocols and how they follow from the budget, the data and the profile. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt

from ddbench.core.api import ProtocolParams, Recipe
from ddbench.core.profiles import Profile
from ddbench.core.specs import DatasetInfo, StudentInfo

BATCH = 256
TEST_PASSES = 4
"""In the profile for tests."""


class SGDParams(ProtocolParams):
    """A fully resolved training recipe of a student."""

    updates: PositiveInt = Field(description="number of SGD updates")
    batch: PositiveInt = Field(default=BATCH, description="images per update; the remainder of an epoch is kept")
    lr: tuple[float, ...] = Field(
        description="learning rates; more than one: chosen on val by one student, for all repetitions"
    )
    momentum: float = Field(default=0.9, description="SGD momentum")
    weight_decay: float = Field(default=5e-4, description="SGD weight decay")
    schedule: Literal["step", "cosine"] = Field(
        default="step", description="step: lr × 0.1 with a fresh momentum buffer after drop_after; cosine: to 0"
    )
    drop_after: PositiveInt = Field(description="updates before the step schedule drops the learning rate")
    augmentation: Literal["dsa", "none", "crop_flip", "dc_mnist", "crop_noise"] = Field(
        default="dsa", description="dsa: one of six operations per batch, parameters per image"
    )
    flip: bool = Field(default=True, description="whether the augmentation may mirror images")
    targets: Literal["hard", "soft", "own", "recipe"] = Field(
        default="hard",
        description="which form of the labels is learned; own: soft where they are probabilities or logits",
    )

    @classmethod
    def resolve(
        cls, defaults: Mapping[str, Any], *, n: int, data: DatasetInfo, student: StudentInfo, profile: Profile
    ) -> SGDParams:
        """The recipe for a budget of ``n`` images.

        Args:
            defaults: The protocol's own settings. ``updates``: ``capped``, ``long``, ``dc2021`` or a number;
                ``lr``: ``grid`` or a number.
            n: Images of the budget (not of a decoded set).
            data: Facts about the data set.
            student: Facts about the student.
            profile: Bounds and learning rates.
        """
        values = dict(defaults)
        length, lr = values.pop("updates"), values.pop("lr")
        if length == "dc2021":
            values |= _dc2021(n, data.dc_augmentation or student.dc_augmentation, profile)
        else:
            updates = profile.updates(n, capped=length != "long") if isinstance(length, str) else length
            updates = min(updates, profile.updates_max) if not profile.tabulated else updates
            values |= {"updates": updates, "drop_after": math.ceil(updates / 2)}
        values["lr"] = profile.lr_grid if lr == "grid" else (lr,)
        values["batch"] = min(BATCH, n)
        values["flip"] = data.flip
        return cls(**values)

    def length(self, recipe: Recipe | None, n: int) -> tuple[int, int]:
        """How many updates are wanted, and how many of them are made.

        Args:
            recipe: The one that is followed, if any.
            n: Images of the set that it came with.
        """
        return self.updates, self.updates


class RecipeParams(SGDParams):
    """What a set's own recipe leaves open; ``updates`` and ``drop_after`` are estimates, for forecasts.

    A recipe is known once its set is made, and so are its batches.
    """

    passes: PositiveInt = Field(description="passes over the set where its recipe names no number of updates")
    longest: PositiveInt = Field(description="most updates; a recipe that asks for more is cut")

    @classmethod
    def resolve(
        cls, defaults: Mapping[str, Any], *, n: int, data: DatasetInfo, student: StudentInfo, profile: Profile
    ) -> RecipeParams:
        """As :meth:`SGDParams.resolve`, with ``passes`` among the defaults."""
        passes, longest = defaults["passes"] if profile.tabulated else TEST_PASSES, profile.updates_max
        usual = min(longest, passes * math.ceil(n / BATCH))
        values = {**defaults, "passes": passes, "longest": longest, "updates": usual}
        found = super().resolve(values, n=n, data=data, student=student, profile=profile)
        assert isinstance(found, cls)
        return found.model_copy(update={"batch": BATCH})

    def length(self, recipe: Recipe | None, n: int) -> tuple[int, int]:
        """The recipe's own number, else one for each of its rates, else so many passes in its batches."""
        if recipe is None:
            return self.updates, self.updates
        wanted = recipe.updates or len(recipe.lrs or ()) or self.passes * math.ceil(n / (recipe.batch or self.batch))
        return wanted, min(wanted, self.longest)


def _dc2021(n: int, augmentation: str | None, profile: Profile) -> dict[str, Any]:
    """301 passes without augmentation, 1001 with one (DC authors' code: MNIST, and ConvNets with batch norm)."""
    passes, first = (301, 152) if augmentation is None else (1001, 502)
    if not profile.tabulated:
        passes, first = TEST_PASSES, TEST_PASSES // 2
    per_pass = math.ceil(n / BATCH)
    return {"updates": passes * per_pass, "drop_after": first * per_pass, "augmentation": augmentation or "none"}
