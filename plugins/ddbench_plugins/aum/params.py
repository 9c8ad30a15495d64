"""Hyper-parameters of AUM. No torch."""

from pydantic import Field

from ddbench.blocks.dynamics_params import MARGINS, Margins, ScoreParams


class AUMParams(ScoreParams):
    """What margins are of."""

    of: Margins = Field(default="logits", description=MARGINS)
