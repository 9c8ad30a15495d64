"""Full: the whole training set, the upper reference of every table."""

import torch

from ddbench import RunContext, Selection, Selector
from ddbench_plugins.full.params import FullParams


class Full(Selector[FullParams]):
    """Keeps everything; the core adds the validation images where it evaluates references."""

    def select(self, ctx: RunContext) -> Selection:
        """All training images in their order."""
        return Selection(torch.arange(len(ctx.train.labels)))
