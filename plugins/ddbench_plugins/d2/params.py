"""Hyper-parameters of D2. No torch."""

from typing import Literal

from pydantic import Field, PositiveInt

from ddbench.blocks.dynamics_params import MARGINS, DroppingParams, Margins


class D2Params(DroppingParams):
    """The graph, what its nodes start with, and how far messages reach."""

    k: PositiveInt = Field(default=5, description="nearest neighbours that an image links itself to")
    gamma: float = Field(
        default=0.1, ge=0, description="γ, how fast a pick's effect on neighbours falls [per unit of distance]"
    )
    score: Literal["forgetting", "aum"] = Field(default="forgetting", description="hardness that images start with")
    of: Margins = Field(default="logits", description=f"{MARGINS}; only of aum")
