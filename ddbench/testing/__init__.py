"""The contract test kit, public for plugin authors: subclass :class:`MethodContract`, or `ddbench plugin check`."""

from ddbench.testing.contract import CHECKS, MethodContract, Outcome, run_check
from ddbench.testing.subject import Bench, Subject

__all__ = ["CHECKS", "Bench", "MethodContract", "Outcome", "Subject", "run_check"]
