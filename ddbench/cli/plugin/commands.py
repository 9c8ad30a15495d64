"""`ddbench plugin`: list, check, diagnose and start plugins."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from ddbench.cli.listing import listing
from ddbench.cli.options import PLUGIN, Device, Place, Setting
from ddbench.cli.plugin.new import KINDS, create
from ddbench.core.api import MethodInfo
from ddbench.core.errors import UsageError, printable, unknown
from ddbench.core.plugin.loader import PluginReport, Registries, active, installed, load, params_class
from ddbench.work.executors.devices import named


@click.group()
def plugin() -> None:
    """List, check, diagnose and start plugins."""


@plugin.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@PLUGIN
def list_plugins(as_json: bool) -> None:
    """List plugins: distribution, version, what they registered, or why they failed."""
    rows = [row(report) for report in active().reports]
    click.echo(json.dumps(rows, indent=1) if as_json else listing(rows))


def row(report: PluginReport) -> dict[str, Any]:
    """One line of the list."""
    return {
        "plugin": report.name,
        "from": report.origin.distribution,
        "version": report.origin.version,
        "status": "failed" if report.error else "ok",
        "registers": report.error or ", ".join(report.registered),
    }


@plugin.command()
def doctor() -> int:
    """Report on this installation and on every plugin, with what to do about each failure; exit code 1 if any."""
    from ddbench.cli.plugin.doctor import diagnose

    healthy = True
    for finding in diagnose():
        click.echo(f"{'✓' if finding.ok else '✗'} {finding.text}")
        if finding.advice:
            click.echo(f"  → {finding.advice}")
        healthy = healthy and finding.ok
    return 0 if healthy else 1


@plugin.command()
@click.argument("subject", metavar="NAME|FILE.py")
@click.option("--set", "settings", type=Setting(), multiple=True, help="Make it fast: dm.iterations=3.")
@click.option("--from", "files", type=Place(path_type=Path, exists=True), metavar="DIR",
              help="The files of a data set.")  # fmt: skip
@click.option("--device", type=Device(), default="cpu", show_default=True, help="Where methods run: cpu or cuda.")
@PLUGIN
def check(subject: str, settings: tuple[tuple[str, str, Any], ...], files: Path | None, device: str) -> int:
    """Run the contract checks on a member, or on all members of a plugin; exit code 1 if any fails.

    NAME is a member's, an installed plugin's (see `ddbench plugin list`) or its distribution's.

    Methods, protocols and artifact kinds run on digits; methods under the smoke profile, with 3 iterations unless --set
    says otherwise. Data sets are read from --from; architectures are built narrow.
    """
    file, registries, members = _subject(subject)
    names = [name for _, name in members]
    for name, _, _ in settings:
        if name not in names:
            raise UsageError(f"--set {name}.…: {name!r} is not checked here (checked: {', '.join(names)})")
    if device != "cpu" and (others := [f"{noun} {name}" for noun, name in members if noun != "method"]):
        raise UsageError(f"--device {device}: only methods are checked there, not {others[0]}")
    named(device)
    passed = []
    for noun, name in members:
        given = {parameter: value for member, parameter, value in settings if member == name}
        passed.append(_check(noun, name, registries, file, given, files, device))
    return 0 if all(passed) else 1


def _subject(text: str) -> tuple[Path | None, Registries, list[tuple[str, str]]]:
    """The one-file plugin if it is one, what is registered, and the members to check: what each is, and its name."""
    if text.endswith(".py"):
        file = Path(text)
        registries = load([file])
        return file, registries, _members(registries, registries.reports[-1:])
    registries = active()
    text = registries.named(text)
    found = [
        (registry.noun, member.name)
        for registry in registries.by_hook().values()
        if (member := registry.find(text)) is not None
    ]
    reports = [r for r in registries.reports if text in (r.name, r.origin.distribution)]
    broken = next((report for report in reports if report.error is not None), None)
    if not found and broken is not None:
        raise UsageError(broken.line())
    found = found or _members(registries, reports)
    if not found:
        known = [member.name for registry in registries.by_hook().values() for member in registry]
        plugins = [name for report in registries.reports for name in (report.name, report.origin.distribution)]
        raise unknown("member or plugin", text, [*known, *dict.fromkeys(plugins)], "ddbench plugin list")
    return None, registries, found


def _members(registries: Registries, reports: list[PluginReport]) -> list[tuple[str, str]]:
    """What plugins registered: what each member is, and its name."""
    nouns = [registry.noun for registry in registries.by_hook().values()]
    registered = [line for report in reports for line in report.registered]
    return [(noun, line[len(noun) + 1 :]) for line in registered for noun in nouns if line.startswith(f"{noun} ")]


def _check(
    noun: str,
    name: str,
    registries: Registries,
    file: Path | None,
    given: dict[str, Any],
    files: Path | None,
    device: str,
) -> bool:
    """Run all checks on one member, one line each; a reason that several share is said once."""
    import tempfile

    fast = given
    if noun == "method":
        info = registries.methods.get(name)
        fast = automatic_fast(info) | given
        _reject_unknown(info, registries, fast)
    elif noun == "data set" and files is None and not registries.datasets.get(name).embedded:
        raise UsageError(f"data set {name!r} is read from files: give their folder with --from DIR")
    from ddbench.testing.contract import bench_of, run_check

    where = "" if noun in ("data set", "architecture") else " on digits"
    click.echo(f"{noun} {name}{where}, {', '.join(f'{k}={v}' for k, v in fast.items()) or 'no overrides'}")
    reasons: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as home:
        bench, checks = bench_of(noun, name, registries, Path(home), plugin=file, fast=fast, files=files, device=device)
        for one in checks:
            outcome = run_check(one, bench)
            if outcome.problem is None:
                click.echo(f"✓ {outcome.name}: {outcome.law}")
                continue
            reasons.setdefault(outcome.problem, []).append(outcome.name)
            if len(reasons[outcome.problem]) == 1:
                click.echo(f"✗ {outcome.name}: {outcome.problem}")
                for line in (outcome.trace or "").splitlines():
                    click.echo(printable(line), err=True)
    for first, *others in reasons.values():
        if others:
            more = f"{len(others)} more {'check' if len(others) == 1 else 'checks'}"
            click.echo(f"✗ and {more} for the same reason as {first}")
    failures = sum(map(len, reasons.values()))
    click.echo(f"{name}: " + (f"{failures} of {len(checks)} checks failed" if failures else "all checks passed"))
    return failures == 0


def automatic_fast(info: MethodInfo) -> dict[str, Any]:
    """Overrides that make a run short, on top of the smoke preset."""
    return {"iterations": 3} if "iterations" in params_class(info).model_fields else {}


def _reject_unknown(info: MethodInfo, registries: Registries, fast: dict[str, Any]) -> None:
    """Report a wrong ``--set`` as a usage error rather than as a failure of every check."""
    from ddbench.plan import rows

    row = rows.Row(info.name, info, registries.methods.origin(info.name).key, {}, requested=True)
    rows.validated(row, fast, partial=True)


@plugin.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What the package adds.")
@click.option("--to", "folder", type=Place(path_type=Path), default=Path(), help="Where to put it. [here]")
def new(name: str, kind: str, folder: Path) -> None:
    """Write a complete package: ddbench-NAME/, installable, with an example that works and a passing contract test."""
    made = create(kind, name, folder, installed())
    click.echo(made)
    click.echo(f"next: pip install -e {shlex.quote(str(made))} && ddbench plugin check {name}", err=True)


@plugin.command()
@click.option("--write", "file", type=Place(path_type=Path), help="Replace the table between the markers of FILE.")
def index(file: Path | None) -> None:
    """Print the table of first-party methods, or renew it in a file (plugins/README.md)."""
    from ddbench.cli.plugin.index import renew, table

    text = table(installed())
    if file is None:
        click.echo(text)
    else:
        renew(file, text)
        click.echo(file)
