"""The data sets of a suite, opened, and the shares of them that can be asked for. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.core.specs import Budget
from ddbench.data.dataset import Data, open_data
from ddbench.plan.suite import Suite


def data_of(suite: Suite, registries: Registries) -> Iterator[Data]:
    """Each once: a prepared copy may be named alone and by its source."""
    found: list[Data] = []
    for data in _opened(suite, registries):
        if data not in found:
            found.append(data)
    return iter(found)


def _opened(suite: Suite, registries: Registries) -> Iterator[Data]:
    entries = ((item.text, item.framing, item.label, json.dumps(item.view, sort_keys=True)) for item in suite.datasets)
    for text, framing, label, view in dict.fromkeys(entries):
        for preprocess in dict.fromkeys(suite.preprocess):
            yield open_data(text, json.loads(view), suite.split, preprocess, registries, framing, label)


def check_fraction(budget: Budget, data: Data) -> None:
    """Refuse a share that is less than one image of every class, which would be rounded up to another share.

    Raises:
        UsageError: If it is.
    """
    counts = [count for count in data.info.counts if count]
    if budget.fraction is not None and not any(round(budget.fraction * count) for count in counts):
        raise UsageError(
            f"{data.label}: {budget.label} of {sum(counts)} training images is less than one of each class; one of "
            f"each is a fraction of {len(counts) / sum(counts):.2g} (--ipc 1)"
        )
