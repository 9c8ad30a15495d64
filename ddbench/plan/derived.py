"""Names that are no methods and yet may stand in a suite: ``kmeans_soft``, ``random_soft`` of the set of ``kmeans``.

Every method that takes the set of another row and is called ``random_X`` gives one to each selection of real images
with hard labels. No torch.
"""

from __future__ import annotations

from ddbench.core.api import MethodInfo
from ddbench.core.errors import UsageError, unknown
from ddbench.core.plugin.loader import Registries
from ddbench.core.roles import CHANGED, name_from

SHOWN = 3
"""How many of them a message names."""


def names(registries: Registries) -> list[str]:
    """All of them."""
    return [name for method in registries.methods for name in names_of(method, registries)]


def all_names(registries: Registries) -> list[str]:
    """All names by which a suite may call a method; no row of another one may be called so."""
    return [*(info.name for info in registries.methods), *names(registries)]


def names_of(method: MethodInfo, registries: Registries) -> list[str]:
    """Those of one method; none of nearly all."""
    if not _changes(method):
        return []
    starts = [info.name for info in registries.methods if _why_not(info) is None]
    return [name for start in starts if (name := name_from(method.name, start)) not in registries.methods]


def relabelled(start: MethodInfo, label: str, registries: Registries) -> list[str]:
    """Those that give the set of a row, which is called ``label``, labels of their own."""
    methods = [info for info in registries.methods if _changes(info) and info.own_labels]
    if _why_not(start) is not None:
        return []
    return [name for info in methods if (name := name_from(info.name, label)) not in registries.methods]


def taken_apart(name: str, registries: Registries) -> tuple[MethodInfo, str] | None:
    """The method that changes a set, and what the name says of whose: a method, or the label of a row.

    None where the name does not end like one of these methods.
    """
    endings = {name_from(method.name, ""): method for method in registries.methods if _changes(method)}
    for ending in sorted(endings, key=len, reverse=True):
        if name.endswith(ending) and name != ending:
            return endings[ending], name.removesuffix(ending)
    return None


def check(name: str, method: MethodInfo, start: MethodInfo, registries: Registries) -> None:
    """Refuse to start from what is no selection of real images with hard labels.

    Args:
        name: What the suite says.
        method: What changes the set.
        start: What makes it.
        registries: Loaded plugins.

    Raises:
        UsageError: If it is not.
    """
    if (why := _why_not(start)) is not None:
        known = names_of(method, registries)
        more = f", … (see `ddbench describe {method.name}`)" if len(known) > SHOWN else ""
        raise UsageError(
            f"{name}: {start.name} {why}; {method.name} starts from real images with hard labels: "
            f"{', '.join(known[:SHOWN])}{more}"
        )


def not_known(name: str, registries: Registries) -> UsageError:
    """The error for a name that is neither a method nor one of these, with the nearest of both."""
    return unknown(registries.methods.noun, name, all_names(registries), registries.methods.listing)


def _changes(info: MethodInfo) -> bool:
    return info.takes_initial and info.name.startswith(CHANGED)


def _why_not(info: MethodInfo) -> str | None:
    """Why nothing starts from the sets of a method; None where it may."""
    if info.kind == "reference":
        return "is a reference"
    if info.kind != "selection":
        return "makes images of its own"
    return "has labels of its own" if info.own_labels else None
