"""How reports show the protocol of a result: as its record says, the catalog for ours, or a plugin that is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import NamedTuple

from ddbench.core.documents import Facts
from ddbench.core.infos import Standing
from ddbench.core.plugin.loader import active
from ddbench.work.evaluate.catalog import PROTOCOLS

OURS = {protocol.name: protocol for protocol in PROTOCOLS}
_KNOWN = {field.name for field in fields(Standing)}


class Declared(NamedTuple):
    """What reports know of a protocol.

    Attributes:
        standing: How it is shown, and what it is held against.
        trains_student: Whether it trains a network.
        follows_recipe: Whether students follow the recipe of their set: ``full`` is then not trained under it.
    """

    standing: Standing = Standing()
    trains_student: bool = True
    follows_recipe: bool = False


def declared_by(protocol: str, facts: Iterable[Facts]) -> Declared:
    """What is declared of a protocol.

    Args:
        protocol: Its id with version.
        facts: Those of its records, of which the first that says so counts; without any, the plugin that is loaded.
    """
    told = next((one.protocol for one in facts if one.protocol is not None), None)
    if told is not None:
        standing = Standing(**{name: value for name, value in told.items() if name in _KNOWN})
        return Declared(standing, bool(told.get("trains_student", True)), bool(told.get("follows_recipe", False)))
    known = OURS.get(name_of(protocol))
    if known is None and name_of(protocol) in active().protocols:
        known = active().protocols.get(name_of(protocol))
    return Declared() if known is None else Declared(known.standing, known.trains_student, known.follows_recipe)


def name_of(protocol: str) -> str:
    """``hard`` of ``hard@2``."""
    return protocol.partition("@")[0]


def id_of(name: str) -> str:
    """``hard@2`` of ``hard``; of a protocol that is not ddbench's own, the name."""
    ours = OURS.get(name)
    return name if ours is None else f"{name}@{ours.version}"
