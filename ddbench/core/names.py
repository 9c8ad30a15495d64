"""What users type for a name: in any case, with or without hyphens and underscores.

Names of members are lower case; papers and scripts write ``DATM``, ``K-Center``, ``CIFAR-10``. What is typed becomes
the member's own name where suites, commands and functions take names in, so that keys, labels and records hold no
other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|(https?|ftp|s3|gs|hf|file):/", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_\s\u2010-\u2015\u2212]+")


def folded(text: str) -> str:
    """A name without case, hyphens, underscores and blanks: ``kcenter`` of ``K-Center``."""
    return _SEPARATORS.sub("", text.casefold())


def is_address(text: str) -> bool:
    """Whether a text is an address, ``https://…``, in any case; a path has made one slash of two."""
    return _ADDRESS.match(text) is not None


def meant(text: str, known: Mapping[str, Iterable[str]]) -> list[str]:
    """The names that a text may mean, ascending: itself alone where it is one.

    Args:
        text: What was typed.
        known: The names, with what else each is called.
    """
    if text in known:
        return [text]
    wanted = folded(text)
    return sorted(name for name, others in known.items() if wanted in map(folded, (name, *others))) if wanted else []


def nearest(text: str, known: Iterable[str], *, n: int = 1, cutoffs: Iterable[float] = (0.6,)) -> list[str]:
    """The known names most like a text, the best first; those that differ only in case and hyphens alone.

    Args:
        text: What was typed.
        known: The names that exist.
        n: How many are named at most.
        cutoffs: Least likeness in [0, 1]; a later one counts where nothing is as like as an earlier one says.
    """
    by_fold: dict[str, list[str]] = {}
    for name in sorted(set(known)):
        by_fold.setdefault(folded(name), []).append(name)
    wanted = folded(text)
    if wanted in by_fold:
        return by_fold[wanted]
    near = next((found for cutoff in cutoffs if (found := get_close_matches(wanted, by_fold, n, cutoff))), [])
    return [name for fold in near for name in by_fold[fold]][:n]
