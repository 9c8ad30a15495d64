"""Whether what a record names as ``"module:Name"`` is there, without importing its module, which may import torch."""

from __future__ import annotations

import importlib.util
import sys

from ddbench.core.plugin.limited import limited


def absent(target: str) -> str | None:
    """What is missing of a target; None when nothing is, as far as can be told without an import."""
    module, _, attribute = target.partition(":")
    if module in sys.modules:
        return None if hasattr(sys.modules[module], attribute) else f"its module has no {attribute!r}"
    return None if _exists(module) else f"no module {module!r}"


def _exists(module: str) -> bool:
    try:
        with limited(f"importing the package of {module}"):
            return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
    except KeyboardInterrupt:
        raise
    except BaseException:  # its package fails when imported: so will what needs it, with the reason
        return True
