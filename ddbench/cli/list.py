"""`ddbench list` and `ddbench describe`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Literal, get_args, get_origin

import click

from ddbench.cli.listing import listing
from ddbench.cli.options import PLUGIN
from ddbench.core.api import MethodInfo
from ddbench.core.bibtex import bibliography
from ddbench.core.errors import UsageError
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries, active, import_target, params_class
from ddbench.core.plugin.registry import Origin
from ddbench.core.roles import name_from
from ddbench.plan import derived
from ddbench.plan.presets import presets

KINDS = ("methods", "datasets", "archs", "protocols", "artifacts")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@PLUGIN
def list_members(kind: str, as_json: bool) -> None:
    """List methods, datasets, archs, protocols or artifacts."""
    registries = active()
    rows = _ROWS[kind](registries)
    click.echo(json.dumps(rows, indent=1) if as_json else listing(rows))
    for line in _patterns(registries) if kind == "methods" and not as_json else ():
        click.echo(f"\n{line}")


def _patterns(registries: Registries) -> Iterator[str]:
    """The names that are no methods and may stand among them, a line for all of one method."""
    for info in registries.methods:
        if names := derived.names_of(info, registries):
            some = ", ".join(names[: derived.SHOWN]) + ", …" * (len(names) > derived.SHOWN)
            pattern = name_from(info.name, "NAME")
            yield f"{pattern} ({some}): {info.name} on the set of NAME (see `ddbench describe {info.name}`)"


def _methods(registries: Registries) -> list[dict[str, Any]]:
    return [
        {
            "name": info.name,
            "kind": info.kind,
            "version": info.version,
            "from": registries.methods.origin(info.name).distribution,
            "paper": f"{info.paper.venue} {info.paper.year}" if info.paper else "",
            "summary": info.summary,
        }
        for info in registries.methods
    ]


def _datasets(registries: Registries) -> list[dict[str, Any]]:
    return [
        {"name": record.name, "from": registries.datasets.origin(record.name).distribution, "summary": record.summary}
        for record in registries.datasets
    ]


def _archs(registries: Registries) -> list[dict[str, Any]]:
    return [
        {
            "name": base,
            "suffixes": ", ".join(
                [f"-wN (default {family.width})", *(f"-{s}" for s in family.norms + family.variants)]
            ),
            "from": registries.architectures.origin(family.name).distribution,
            "summary": family.summary,
        }
        for family in registries.architectures
        for base in family.bases
    ]


def _protocols(registries: Registries) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{info.name}@{info.version}",
            "from": registries.protocols.origin(info.name).distribution,
            "summary": info.summary,
        }
        for info in registries.protocols
    ]


def _artifacts(registries: Registries) -> list[dict[str, Any]]:
    return [
        {
            "name": kind.name,
            "version": kind.version,
            "from": registries.artifacts.origin(kind.name).distribution,
            "summary": kind.summary,
        }
        for kind in registries.artifacts
    ]


_ROWS: dict[str, Callable[[Registries], list[dict[str, Any]]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "archs": _archs,
    "protocols": _protocols,
    "artifacts": _artifacts,
}


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--bibtex", is_flag=True, help="Only what to cite for a method, as BibTeX.")
@PLUGIN
def describe(name: str, as_json: bool, bibtex: bool) -> None:
    """Describe a method (paper, parameters, presets), or any other registered member."""
    registries = active()
    name = registries.named(name, also=derived.names(registries))
    found = [] if name in registries.methods else _others(registries, name)
    if found and bibtex:
        raise UsageError(f"{name}: only methods name papers (see `ddbench list methods`)")
    if not found:
        method, start = _method(registries, name)
        if bibtex:
            click.echo(bibliography([start, method.name] if start else [method.name], registries.methods), nl=False)
            return
        _describe_method(registries, method, as_json, name if start else "", start)
    elif as_json:
        click.echo(json.dumps(found if len(found) > 1 else found[0], indent=1, default=str))
    for facts in () if as_json else found:
        _print_member(facts)


def _method(registries: Registries, name: str) -> tuple[MethodInfo, str]:
    """The method that a name means, and from whose set it starts; empty for a method's own name.

    Raises:
        UsageError: If it means none.
    """
    taken = None if name in registries.methods else derived.taken_apart(name, registries)
    if taken is None:
        return registries.methods.get(name), ""
    method, start = taken
    if start not in registries.methods:
        raise derived.not_known(name, registries)
    derived.check(name, method, registries.methods.get(start), registries)
    return method, start


def _others(registries: Registries, name: str) -> list[dict[str, Any]]:
    """Facts about the members that are no methods and have this name, of which each kind may have one."""
    found = []
    for registry in registries.by_hook().values():
        member = None if registry is registries.methods else registry.find(name)
        if member is not None:
            facts = {"from": _source(registry.origin(member.name)), **asdict(member)}
            target = facts.get("params")
            found.append(facts | ({} if target is None else {"parameters": _fields(import_target(target))}))
    return found


def _print_member(facts: dict[str, Any]) -> None:
    from tabulate import tabulate

    fields = facts.pop("parameters", None)
    click.echo(tabulate(facts.items(), tablefmt="plain"))
    if fields:
        click.echo("\n" + listing(fields, limits=[None, None, 80]))


def _source(origin: Origin) -> str:
    return f"{origin.distribution} {origin.version}".strip()


def _fields(params: type[Any]) -> list[dict[str, str]]:
    defaults = asked("describing its parameters", lambda: list(map(_default, params.model_fields.values())))
    return [
        {"parameter": name, "default": default, "description": _choices(field) + (field.description or "")}
        for (name, field), default in zip(params.model_fields.items(), defaults, strict=True)
    ]


def _describe_method(registries: Registries, info: MethodInfo, as_json: bool, name: str, start: str) -> None:
    """Print a method; ``name``: what it is called on the set of ``start``, both empty for the method alone."""
    fields = _fields(params_class(info))
    chosen = [
        {
            "for": _pairs(preset.where.model_dump(exclude_none=True)) or "everywhere",
            "params": _pairs(preset.params),
            "source": preset.source,
        }
        for preset in presets(info)
    ]
    source = _source(registries.methods.origin(info.name))
    if as_json:
        begun = {"name": name, "starts_from": start} if start else {}
        told = {**begun, "from": source, "method": _facts(info), "parameters": fields, "presets": chosen}
        click.echo(json.dumps(told, indent=1, default=str))
        return
    if start:
        click.echo(f"{name}: {info.name} on the set of {start}")
    click.echo(f"{info.name} ({info.kind}, version {info.version}, {source}): {info.summary}")
    if info.paper:
        click.echo(f"{info.paper.title}, {info.paper.venue} {info.paper.year}, {info.paper.url}")
    if not start and (started := derived.names_of(info, registries)):
        click.echo(f"from the sets of other methods: {', '.join(started)}")
    if fields:
        click.echo("\n" + listing(fields, limits=[None, None, 80]))
    if chosen:
        click.echo("\n" + listing(chosen, limits=[40, 50, 60]))


def _facts(info: MethodInfo) -> dict[str, Any]:
    return asdict(info) | {"axes": sorted(info.axes)}


def _choices(field: Any) -> str:
    """``real | noise: `` for a parameter with named values."""
    values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return f"{' | '.join(map(str, values))}: " if values else ""


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default_factory_takes_validated_data:
        return "from other parameters"
    return json.dumps(field.get_default(call_default_factory=True), default=str)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
