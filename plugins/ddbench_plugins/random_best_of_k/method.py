"""random_best_of_k: what a choice on val is worth without any optimisation.

Set 0 is ``random``'s; the others begin permutations of their own. Each is scored on val as a distiller's snapshots are
(``ctx.score``), and the best is kept, the first of equals.
"""

from collections.abc import Mapping

from ddbench import RunContext, Selection, Selector, State
from ddbench.blocks.sampling import first_of_each_class
from ddbench_plugins.random_best_of_k.params import RandomBestOfKParams


class RandomBestOfK(Selector[RandomBestOfKParams]):
    """Draws and scores one set per step."""

    best, draw = -1.0, 0

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """The next set; kept if it is better than those before."""
        kept, self.selection = self.selection, Selection(first_of_each_class(ctx, draw=ctx.step))
        score = ctx.score(self.finalise(ctx)) if self.params.k > 1 else 0.0
        if score > self.best:
            self.best, self.draw = score, ctx.step
        else:
            self.selection = kept
        return {"val_top1": score}

    def done(self, ctx: RunContext) -> bool:
        """After k sets."""
        return ctx.step >= self.params.k

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """Which set was best, counted from 0, of how many, and its accuracy on val [%]."""
        return {"draw": self.draw, "tried": self.params.k, "val_top1": self.best}

    def state_dict(self) -> State:
        """The best set so far, which that is, and its score."""
        return {"selection": super().state_dict(), "best": self.best, "draw": self.draw}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state["selection"])
        self.best, self.draw = state["best"], state["draw"]
