"""Roles: what a row of a table is (a method, a control, a start …) and of which rows. No torch.

Whoever makes a row says its role; records carry it in their facts. Labels are for people: nothing is read from them,
except by :func:`parse_label` in records from before roles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import ConfigDict

FULL, RANDOM = "full", "random"
REFERENCES = (FULL, RANDOM)
"""Methods that every table has: all images, and as many real ones at random as a set holds."""
BEST_OF_K = "random_best_of_k"
"""The method that chooses on val among as many sets as a distiller may."""
CONTROLS = (BEST_OF_K, "random_soft")
"""Methods that are nothing but controls."""
CHANGED = RANDOM + "_"
"""How the names of methods begin that change the set of ``random``, or of another row: ``random_soft``."""
SCORING = "val"
"""The protocol by which methods score their own sets (``ctx.score``); what it says is no result."""

ZERO_STEPS = " (0 steps)"
"""What the label of a start ends in."""
AT_BYTES, AT_UINT8 = "random@bytes", "random@uint8"
"""How labels of rows begin whose real images cost what the condensed sets of other rows cost: as these are stored, and
with their images as uint8."""
EQUALS = "= "
"""How the reason begins for which a row is not measured that equals another one; that one's label follows."""
RECIPE_OF = " (recipe of "
"""What stands in the label of a twin before the label of the row whose recipe it takes."""

Kind = Literal["reference", "method", "control", "start", "twin", "at_bytes", "at_uint8"]
BUYERS: dict[Kind, str] = {"at_bytes": AT_BYTES, "at_uint8": AT_UINT8}
"""Kind of such a row → the beginning of its label."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a row is.

    Attributes:
        kind: ``reference``: what all rows are held against (``full``, ``random``, and others of that kind of method);
            ``method``: a method's own result; ``control``: a method that is nothing but a control; ``start``: the set
            at which a distiller begins; ``twin``: real images, trained by another row's recipe; ``at_bytes``: as many
            real images as the sets of other rows pay for in bytes; ``at_uint8``: as these pay for with images as uint8.
        of: Labels of the rows that it stands beside; none for references and methods.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Kind = "method"
    of: tuple[str, ...] = ()

    @property
    def is_control(self) -> bool:
        """Whether it is a random choice beside a method, or where one starts: no method's own result."""
        return self.kind in ("control", "start", "twin", *BUYERS)

    @property
    def buys(self) -> bool:
        """Whether it is real images at the bytes of other rows' sets."""
        return self.kind in BUYERS


class HasRole(Protocol):
    """A row, as far as roles go."""

    @property
    def label(self) -> str:
        """What other roles call it."""

    @property
    def method(self) -> str:
        """Name of its method."""

    @property
    def role(self) -> Role:
        """What it is."""


R = TypeVar("R", bound=HasRole)


def baseline_of(row: R, rows: Iterable[R]) -> R | None:
    """The ``random`` that a row is held against: the one trained by its recipe, if there is one.

    None without any, or where ``random`` was split by parameters: no half of it stands for all of it.
    """
    random = [other for other in rows if other.method == RANDOM]
    own = [other for other in random if other.role == Role("twin", (row.label,))]
    found = own or [other for other in random if other.role.kind == "reference"]
    return found[0] if len(found) == 1 else None


def label_at(role: Role) -> str:
    """The label of real images at the bytes of others: ``random@bytes (for dm)``, of several ``(for dm, …)``.

    No two rows at the same bytes share a method, so that the first tells them apart.
    """
    return f"{BUYERS[role.kind]} (for {role.of[0]}{', …' * (len(role.of) > 1)})"


def name_from(method: str, start: str) -> str:
    """What a suite calls ``method`` where it starts from the set of ``start``: ``kmeans_soft`` of ``random_soft``."""
    return f"{start}_{method.removeprefix(CHANGED)}"


def name_in(label: str, own: Collection[str], names: Collection[str]) -> str | None:
    """The name of another method that a label is, or begins with as labels do: ``datm``, ``DATM (0 steps)``.

    Args:
        label: The label of a row.
        own: What the row's method may be called.
        names: Of all methods.
    """
    head = label.strip().partition(" (")[0].partition("@")[0].strip().casefold()
    if head in {name.casefold() for name in own}:
        return None
    return next((name for name in names if name.casefold() == head), None)


def parse_label(label: str, method: str = "") -> Role:
    """The role that a label spelled when rows had none: for records of then, and for suites that exclude by label."""
    _, twin, recipe = label.partition(RECIPE_OF)
    if twin:
        return Role("twin", (recipe.removesuffix(")"),))
    if label.startswith(AT_UINT8):
        return Role("at_uint8")
    if label.startswith(AT_BYTES):
        return Role("at_bytes")
    if label.endswith(ZERO_STEPS):
        return Role("start", (label.removesuffix(ZERO_STEPS),))
    if label == method and method in REFERENCES:
        return Role("reference")
    return Role("control") if method in CONTROLS else Role()
