"""Where ddbench's own methods, data sets, architectures, protocols and artifact kinds are registered.

By name, so that core imports nothing above it: the loader treats each like a plugin.
"""

from __future__ import annotations

CATALOGS = (
    "ddbench.blocks.catalog",
    "ddbench.data.catalog",
    "ddbench.data.exchange.catalog",
    "ddbench.models.catalog",
    "ddbench.work.evaluate.catalog",
)
