"""Hyper-parameters of DC. No torch."""

from typing import Literal

from pydantic import Field

from ddbench.blocks.params import START, CondensationParams


class DCParams(CondensationParams):
    """Hyper-parameters of DC; defaults follow the authors' script at ipc 1."""

    init: Literal["real", "noise", "kcenter", "kmeans"] = Field(default="noise", description=START)
