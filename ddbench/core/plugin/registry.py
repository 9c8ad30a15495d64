"""A named collection of registered members that knows where each came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ddbench.core.errors import PluginError, ambiguous, unknown
from ddbench.core.names import meant


class Named(Protocol):
    """Anything with a name that users type."""

    @property
    def name(self) -> str:
        """What users type."""
        ...


T = TypeVar("T", bound=Named)

TARGETS = ("target", "params", "build", "reader", "download")
"""Fields by which members name what they are made of."""

FIRST_PARTY = "ddbench"

_SHA256 = 64
"""Digits of the hash that stands for a one-file plugin; distributions have shorter names."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a member came from.

    Attributes:
        key: What enters keys: the distribution's name, or the sha256 of a one-file plugin.
        distribution: Distribution name, or the path of a one-file plugin.
        version: Its version, or "".
        module: The module that registered the member.
    """

    key: str
    distribution: str
    version: str
    module: str

    @property
    def file(self) -> str | None:
        """Path of a one-file plugin; None for a distribution."""
        return self.distribution if is_file(self.key) else None


def is_file(key: str) -> bool:
    """Whether an origin's key stands for a one-file plugin."""
    return len(key) == _SHA256


def marked(key: str, version: int) -> str:
    """Who registered a member, ``@`` its version where that is not 1; "" for ddbench's own of version 1."""
    return f"{key}@{version}" if version != 1 else "" if key == FIRST_PARTY else key


def owner_of(mark: str) -> str:
    """The origin's key in what :func:`marked` gives."""
    return mark.partition("@")[0] or FIRST_PARTY


class Registry(Generic[T]):
    """Members by name; the first to take a name keeps it.

    Args:
        noun: Singular, for messages ("method").
        listing: The command that lists the members.
        kind: The type a member must have.
        aliases: What else users may type to mean a member; no two members share a name or an alias.
    """

    def __init__(
        self, noun: str, listing: str, kind: type[T], aliases: Callable[[T], tuple[str, ...]] = lambda member: ()
    ) -> None:
        self.noun = noun
        self.listing = listing
        self.kind = kind
        self.aliases = aliases
        self._members: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}

    def names_of(self, member: T) -> tuple[str, ...]:
        """The name of a member and its aliases."""
        return tuple(dict.fromkeys((member.name, *self.aliases(member))))

    def called(self) -> dict[str, tuple[str, ...]]:
        """What users may call each member besides its name: what it declares as ``aliases``."""
        return {member.name: tuple(getattr(member, "aliases", ())) for member in self}

    def named(self, text: str, also: Iterable[str] = ()) -> str:
        """The name that ``text`` means (:mod:`ddbench.core.names`).

        Args:
            text: What a user typed.
            also: Further names that may be meant beside those of members.

        Raises:
            UsageError: If it means none, or could mean several.
        """
        known = {**dict.fromkeys(also, ()), **self.called()}
        found = meant(text, known)
        if len(found) > 1:
            raise ambiguous(self.noun, text, found)
        if not found:
            raise unknown(self.noun, text, known, self.listing)
        return found[0]

    def find(self, text: str) -> T | None:
        """The member that ``text`` is a name or an alias of; None if there is none."""
        return next((member for member in self._members.values() if text in self.names_of(member)), None)

    def mark(self, text: str) -> str:
        """What keys hold of a member of which they have no version: who registered it, ``@`` its version where not 1.

        "" for ddbench's own of version 1, and where ``text`` means no member.
        """
        member = self.find(text)
        return "" if member is None else marked(self._origins[member.name].key, getattr(member, "version", 1))

    def draft(self, origin: Origin) -> Draft[T]:
        """A write-only view for one plugin: all of its members are taken, or none."""
        return Draft(self, origin)

    def get(self, name: str) -> T:
        """The member called ``name``.

        Raises:
            UsageError: If there is none; the message names the nearest.
        """
        try:
            return self._members[name]
        except KeyError:
            raise unknown(self.noun, name, self._members, self.listing) from None

    def origin(self, name: str) -> Origin:
        """Where the member called ``name`` came from."""
        self.get(name)
        return self._origins[name]

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(sorted(self._members.values(), key=lambda m: m.name))

    def __len__(self) -> int:
        return len(self._members)


class Draft(Generic[T]):
    """What one plugin wants to register; ``commit`` makes it so."""

    def __init__(self, registry: Registry[T], origin: Origin) -> None:
        self._registry = registry
        self._origin = origin
        self._items: dict[str, T] = {}

    def add(self, member: T) -> None:
        """Offer a member.

        Raises:
            PluginError: If it has the wrong type, or its name is taken.
        """
        kind = self._registry.kind
        if not isinstance(member, kind):
            raise PluginError(f"registry.add expects {kind.__name__}, got {type(member).__name__}")
        offered = {name for item in self._items.values() for name in self._registry.names_of(item)}
        for name in self._registry.names_of(member):
            if (taken := self._registry.find(name)) is not None:
                owner = self._registry.origin(taken.name)
                raise PluginError(f"{self._registry.noun} {name!r} is already registered by {owner.distribution}")
            if name in offered:
                raise PluginError(f"{self._registry.noun} {name!r} is registered twice")
        self._items[member.name] = member

    @property
    def noun(self) -> str:
        """What is registered here, singular."""
        return self._registry.noun

    @property
    def names(self) -> tuple[str, ...]:
        """Names offered so far."""
        return tuple(self._items)

    @property
    def targets(self) -> tuple[str, ...]:
        """What the members offered so far name as ``"module:Name"``."""
        found = [getattr(item, name, None) for item in self._items.values() for name in TARGETS]
        return tuple(target for target in found if isinstance(target, str))

    def commit(self) -> None:
        """Take over all offered members."""
        for name, member in self._items.items():
            self._registry._members[name] = member
            self._registry._origins[name] = self._origin
