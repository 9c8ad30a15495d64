"""Random: the first images of one permutation of each class; what every method has to beat.

The permutation is shared by all methods of a repetition (``blocks.sampling.class_order``), so that a budget contains
the smaller ones, and distillers that start from real images start from exactly these.
"""

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.sampling import first_of_each_class
from ddbench_plugins.random_subset.params import RandomSubsetParams


class RandomSubset(Selector[RandomSubsetParams]):
    """A random subset with the budget's class counts."""

    def select(self, ctx: RunContext) -> Selection:
        """The first images of each class in the repetition's order."""
        return Selection(first_of_each_class(ctx))
