"""The grammar of architecture names: short forms in, one canonical form out. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ddbench.core.api import ArchInfo
from ddbench.core.errors import UsageError, ambiguous, unknown
from ddbench.core.names import folded
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import StudentInfo

_LISTING = "ddbench list archs"


@dataclass(frozen=True, slots=True)
class ArchName:
    """An architecture name, taken apart.

    Attributes:
        base: What users call it without suffixes (``convnet3``).
        family: Registered family that builds it (``convnet``).
        width: Channels of a hidden layer, ≥ 1.
        norm: ``in`` (instance norm), ``bn`` (batch norm) or ``nn`` (no norm), as far as the family has them.
        variant: Another form of the family, or "".
        dc_augmentation: What the family declares for this norm (:class:`ddbench.ArchInfo`).
    """

    base: str
    family: str
    width: int
    norm: str
    variant: str = ""
    dc_augmentation: str | None = None

    @property
    def canonical(self) -> str:
        """The name with all suffixes in order, e.g. ``convnet3-w128-in``; what keys and tables hold."""
        return "-".join([self.base, *([self.variant] if self.variant else []), f"w{self.width}", self.norm])


def parse(name: str, families: Registry[ArchInfo]) -> ArchName:
    """Take an architecture name apart and fill in what it leaves out.

    Args:
        name: ``<base>`` with the suffixes ``-wWIDTH``, ``-NORM`` and ``-VARIANT``, each at most once, in any order.
        families: The registered families.

    Raises:
        UsageError: If no family has the base, or a suffix is not one of the family's, is given twice, or has width 0.
    """
    base, *suffixes = name.split("-")
    by_base = {known: family for family in families for known in family.bases}
    if base not in by_base:
        raise unknown("architecture", base, by_base, _LISTING)
    family = by_base[base]
    width: int | None = None
    norm: str | None = None
    variant = ""
    for suffix in suffixes:
        if width is None and re.fullmatch(r"w[1-9][0-9]{0,5}", suffix):
            width = int(suffix[1:])
        elif norm is None and suffix in family.norms:
            norm = suffix
        elif not variant and suffix in family.variants:
            variant = suffix
        else:
            allowed = ", ".join(f"-{known}" for known in (*family.norms, *family.variants))
            raise UsageError(
                f"architecture {name!r}: suffix '-{suffix}' is not understood; "
                f"{base} takes -wWIDTH (a positive integer) and one of {allowed} (see `{_LISTING}`)"
            )
    norm = norm or family.norms[0]
    width = family.width if width is None else width
    return ArchName(base, family.name, width, norm, variant, family.dc_augmentation.get(norm))


def with_norm(name: str, norm: str, families: Registry[ArchInfo]) -> str:
    """The canonical name of a network with another norm.

    Args:
        name: The network.
        norm: A suffix (``nn``: none).
        families: The registered families.

    Raises:
        UsageError: If its family has no such norm.
    """
    arch = parse(name, families)
    known = families.get(arch.family).norms
    if norm not in known:
        raise UsageError(f"{arch.base} has no norm {norm!r}: it has {', '.join(known)}")
    return replace(arch, norm=norm).canonical


def meant(text: str, families: Registry[ArchInfo]) -> str:
    """The architecture that a user means: ``resnet18-bn`` of ``ResNet18BN``, ``convnet3-w64`` of ``ConvNetW64D3``.

    Case, hyphens and underscores may differ from the grammar of :func:`parse`; families declare other bases
    (``aliases``), and where bases are a family's name and a number, the suffix ``dN`` gives that number.

    Args:
        text: What was typed.
        families: The registered families.

    Returns:
        A name that :func:`parse` understands; the text itself where that is one, or means none.

    Raises:
        UsageError: If it could mean several.
    """
    if _understood(text, families) is not None:
        return text
    found: dict[str, str] = {}
    for family in families:
        for reading in _readings(folded(text), family):
            if (name := _understood(reading, families)) is not None:
                found.setdefault(name.canonical, reading)
    if len(found) > 1:
        raise ambiguous("architecture", text, sorted(found))
    return next(iter(found.values()), text)


def _readings(text: str, family: ArchInfo) -> Iterator[str]:
    """What a folded text may mean in a family, by the grammar of :func:`parse`; not all of it need be allowed there."""
    depths = {base.removeprefix(family.name): base for base in family.bases if base.startswith(family.name)}
    heads = {folded(family.name): "", **{folded(alias): name for alias, name in family.aliases.items()}}
    heads |= {folded(base): base for base in family.bases}
    suffixes = "|".join(["w[0-9]+", "d[0-9]+", *map(re.escape, map(folded, (*family.norms, *family.variants)))])
    by_fold = {folded(suffix): suffix for suffix in (*family.norms, *family.variants)}
    for head, base in heads.items():
        rest = text.removeprefix(head)
        if not text.startswith(head) or re.fullmatch(f"(?:{suffixes})*", rest) is None:
            continue
        given = re.findall(suffixes, rest)
        deep = [suffix for suffix in given if re.fullmatch("d[0-9]+", suffix)]
        if deep and (len(deep) > 1 or head != folded(family.name)):
            continue
        begun = depths.get(deep[0][1:]) if deep else base
        if begun:
            yield "-".join([begun, *(by_fold.get(suffix, suffix) for suffix in given if suffix not in deep)])


def _understood(name: str, families: Registry[ArchInfo]) -> ArchName | None:
    try:
        return parse(name, families)
    except UsageError:
        return None


def student(name: str, families: Registry[ArchInfo]) -> StudentInfo:
    """What a protocol is told of a student: a network, or a predictor of its own, which no family has.

    Raises:
        UsageError: As :func:`parse`.
    """
    if families.find(name.partition("-")[0]) is None:
        return StudentInfo(name)
    parsed = parse(name, families)
    return StudentInfo(parsed.canonical, parsed.dc_augmentation)


def too_few_pixels(name: ArchName, *, channels: int, size: int) -> str | None:
    """Why images have too few pixels for a network of ddbench's own families; None: they have enough.

    A ConvNet must have a pixel left after it halved them as often as it is deep, and instance norm must see more than
    one: of one pixel it makes 0, whatever that shows.

    Args:
        name: The network.
        channels: Of the images.
        size: Height = width of the images [pixels].
    """
    enlarged = 32 if channels == 1 and size == 28 else size
    if name.family == "convnet":
        depth, most = int(name.base.removeprefix("convnet")), enlarged.bit_length() - 1
        if depth <= most:
            return None
        fits = f"convnet{most} is the deepest that fits" if most else "no ConvNet fits, but mlp and lenet do"
        return f"{name.base} halves its images {depth} times: {size} pixels are too few; {fits}"
    if name.norm != "in" or name.family not in _NORMED or _least_map(name, enlarged) > 1:
        return None
    fits = f"{replace(name, norm='bn').canonical} fits"
    return f"{name.canonical} has instance norm of one pixel, which is 0: {size} pixels are too few; {fits}"


_NORMED = ("alexnet", "vgg", "resnet")


def _least_map(name: ArchName, size: int) -> int:
    """Side of the smallest map that is normed [pixels]; halvings stop in time but in ResNets with average pooling."""
    if name.family != "resnet" or name.variant != "ap":
        return min(size, 2)
    side = (size + 1) // 2 if size >= 64 else size
    for _ in range(3):
        side = side // 2 if side > 2 else side
    return side
