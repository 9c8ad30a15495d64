"""The public alias of :mod:`ddbench.core.api`: what plugin authors import. Imports no torch."""

from ddbench.core.api import *  # noqa: F403
