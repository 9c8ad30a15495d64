"""Option types shared by commands: comma lists, durations, `method.param=value`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ddbench.core.durations import seconds_of
from ddbench.core.errors import UsageError, shown_value
from ddbench.core.names import is_address
from ddbench.core.yaml import parse_yaml
from ddbench.work.executors.devices import misnamed


class Place(click.Path):
    """A file or a folder. No name at all is an error; click takes it for the folder that one is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that there is a name."""
        if not str(value).strip():
            self.fail(f"{value!r} is no name: the folder you are in is `.`", param, ctx)
        if is_address(str(value)) and not _is_path(str(value)):
            what = f"{shown_value(value)} is an address"
            self.fail(f"{what}: addresses are not read: download what is there, and give its path", param, ctx)
        return super().convert(value, param, ctx)


class CommaList(click.ParamType[list[Any]]):
    """``a,b,c``; given several times, the lists are joined. Empty items are errors."""

    name = "list"

    def __init__(self, item: type[int] | type[float] | type[str] = str) -> None:
        self.item = item
        self.name = {"int": "n,n,…", "float": "x,x,…", "str": "a,b,…"}[item.__name__]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Split and convert."""
        if isinstance(value, list):
            return value
        items = []
        for part in self.parts(str(value)):
            if not part.strip():
                self.fail(f"{shown_value(value)} holds an empty item", param, ctx)
            try:
                items.append(self.item(part.strip()))
            except ValueError:
                what = "a whole number" if self.item is int else "a number"
                self.fail(f"{part.strip()[:80]!r} is not {what}", param, ctx)
        return items

    def parts(self, value: str) -> list[str]:
        """What stands between commas."""
        return value.split(",")


class DataSets(CommaList):
    """Data sets; a comma within a path that exists does not separate, nor one before what can be no data set."""

    def parts(self, value: str) -> list[str]:
        """What stands between commas, ``my=folder:Smith, 2024`` in one piece where there is such a folder."""
        cut, found = value.split(","), []
        while cut:
            ends = range(len(cut), 1, -1) if _path_of(cut[0]) is not None else ()
            end = next((end for end in ends if _is_path(_path_of(",".join(cut[:end])))), 0) or _least(cut)
            found.append(",".join(cut[:end]))
            cut = cut[end:]
        return found


def _least(cut: list[str]) -> int:
    """How many pieces the first data set has at least: a path goes on where the next piece can be no data set."""
    if _path_of(cut[0]) is None or _is_path(_path_of(cut[0])):
        return 1
    named = re.compile(r"\s*([A-Za-z][\w-]*\s*([=:].*)?)?", re.DOTALL)
    return next((i for i, piece in enumerate(cut) if i and named.fullmatch(piece)), len(cut))


def _path_of(text: str) -> str | None:
    """The path of ``NAME=SCHEME:PATH``; None where it is none."""
    match = re.fullmatch(r"\s*[^=,]*=\w+:(.+)", text, re.DOTALL)
    return None if match is None else match[1].rstrip()


def _is_path(text: str | None) -> bool:
    try:
        return text is not None and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


class Duration(click.ParamType[float]):
    """Seconds: ``90``, ``30s``, ``45m``, ``2h``."""

    name = "duration"

    def __init__(self, *, positive: bool = False) -> None:
        self.positive = positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse."""
        if isinstance(value, int | float):
            return float(value)
        try:
            seconds = seconds_of(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
        if self.positive and seconds == 0:
            self.fail(f"{shown_value(value)} leaves no time at all", param, ctx)
        return seconds


class Jobs(click.ParamType[int | None]):
    """A number of nodes, or ``auto``, which is None: as many as suit the run."""

    name = "jobs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Parse."""
        if value == "auto" or (isinstance(value, int) and value > 0):
            return None if value == "auto" else value
        if re.fullmatch(r"[1-9]\d*", str(value)) is None:
            self.fail(f"{shown_value(value)} is neither auto nor a number from 1", param, ctx)
        return int(value)


class Device(click.ParamType[str]):
    """``auto``, ``cpu``, ``cuda`` or ``cuda:1``, of ``several`` also ``cuda:0,cuda:1`` or ``all``; only the form."""

    name = "device"

    def __init__(self, *, several: bool = False) -> None:
        self.several = several

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form."""
        if why := misnamed(str(value), several=self.several):
            self.fail(why, param, ctx)
        return str(value)


class Setting(click.ParamType[tuple[str, str, Any]]):
    """``method.param=value``; the value is read as YAML."""

    name = "method.param=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str, Any]:
        """Parse."""
        match = re.fullmatch(r"([A-Za-z][\w-]*)\.(\w+)=(.*)", str(value), flags=re.DOTALL)
        if match is None:
            self.fail(f"{shown_value(value)} is not of the form method.param=value, e.g. dm.iterations=500", param, ctx)
        try:
            return match[1], match[2], parse_yaml(match[3])
        except ValueError as error:
            self.fail(f"{shown_value(match[3])} is not a YAML value: {error}", param, ctx)


def _plug_in(ctx: click.Context, param: click.Parameter, files: tuple[Path, ...]) -> None:
    if files:
        from ddbench.core.plugin.loader import one_file_plugins

        ctx.with_resource(one_file_plugins(files))


PLUGIN: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--plugin", type=Place(path_type=Path), multiple=True, expose_value=False, callback=_plug_in, metavar="FILE",
    help="A one-file plugin: this command knows its members, too.",
)  # fmt: skip
"""For every command that names members; such a command asks :func:`ddbench.core.plugin.loader.active` for them."""


def join(lists: tuple[list[Any], ...]) -> list[Any]:
    """The items of a repeated comma list."""
    return [item for part in lists for item in part]
