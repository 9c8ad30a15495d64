"""`ddbench plugin`: list, check, diagnose and start plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ddbench.api import MethodInfo
from ddbench.cli.options import Setting
from ddbench.errors import UsageError
from ddbench.plugins import PluginReport, Registries, installed, load, params_class


@click.group()
def plugin() -> None:
    """List, check, diagnose and start plugins."""


@plugin.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_plugins(as_json: bool) -> None:
    """List plugins: distribution, version, what they registered, or why they failed."""
    from tabulate import tabulate

    rows = [row(report) for report in installed().reports]
    click.echo(json.dumps(rows, indent=1) if as_json else tabulate(rows, headers="keys", tablefmt="simple"))


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
    from ddbench.cli.plugin_doctor import diagnose

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
def check(subject: str, settings: tuple[tuple[str, str, Any], ...]) -> int:
    """Run the contract checks on a method, or on all methods of a one-file plugin; exit code 1 if any fails.

    They run on digits under the smoke profile, with 3 iterations unless --set says otherwise.
    """
    file, registries, names = _subject(subject)
    for method, _, _ in settings:
        if method not in names:
            raise UsageError(f"--set {method}.…: {method!r} is not checked here (checked: {', '.join(names)})")
    passed = [_check(registries.methods.get(name), registries, file, settings) for name in names]
    return 0 if all(passed) else 1


def _subject(text: str) -> tuple[Path | None, Registries, tuple[str, ...]]:
    """The one-file plugin if it is one, what is registered, and the names of the methods to check."""
    if text.endswith(".py"):
        file = Path(text)
        registries = load([file])
        registered = registries.reports[-1].registered
        names = tuple(entry.removeprefix("method ") for entry in registered if entry.startswith("method "))
        if not names:
            raise UsageError(f"{file} registers no method, only {', '.join(registered)}: there is nothing to check")
        return file, registries, names
    registries = installed()
    broken = next((r for r in registries.reports if r.error is not None and r.name == text), None)
    if broken is not None and text not in registries.methods:
        raise UsageError(broken.line())
    return None, registries, (registries.methods.get(text).name,)


def _check(
    info: MethodInfo, registries: Registries, file: Path | None, settings: tuple[tuple[str, str, Any], ...]
) -> bool:
    """Run all checks on one method, one line each."""
    import tempfile

    fast = automatic_fast(info) | {param: value for method, param, value in settings if method == info.name}
    _reject_unknown(info, registries, fast)
    from ddbench.testing import CHECKS, Bench, Subject, run_check

    click.echo(f"{info.name} on digits, {', '.join(f'{k}={v}' for k, v in fast.items()) or 'no overrides'}")
    failures = 0
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(Subject(info, registries, fast, file), Path(home))
        for one in CHECKS:
            outcome = run_check(one, bench)
            failures += outcome.problem is not None
            mark, text = ("✓", outcome.law) if outcome.problem is None else ("✗", outcome.problem)
            click.echo(f"{mark} {outcome.name}: {text}")
    click.echo(f"{info.name}: " + (f"{failures} of {len(CHECKS)} checks failed" if failures else "all checks passed"))
    return failures == 0


def automatic_fast(info: MethodInfo) -> dict[str, Any]:
    """Overrides that make a run short, on top of the smoke preset."""
    return {"iterations": 3} if "iterations" in params_class(info).model_fields else {}


def _reject_unknown(info: MethodInfo, registries: Registries, fast: dict[str, Any]) -> None:
    """Report a wrong ``--set`` as a usage error rather than as a failure of every check."""
    from ddbench import rows

    row = rows.Row(info.name, info, registries.methods.origin(info.name).key, {}, requested=True)
    rows.validated(row, fast, partial=True)


@plugin.command()
@click.argument("name")
@click.option("--to", "folder", type=click.Path(path_type=Path), default=Path(), help="Where to put it. [here]")
def new(name: str, folder: Path) -> None:
    """Write a complete package for a new method: ddbench-NAME/, installable and with a passing contract test."""
    from ddbench.cli.plugin_new import create

    made = create(name, folder, installed())
    click.echo(made)
    click.echo(f"next: pip install -e {made} && ddbench plugin check {name}", err=True)


@plugin.command()
@click.option("--write", "file", type=click.Path(path_type=Path), help="Replace the table between the markers of FILE.")
def index(file: Path | None) -> None:
    """Print the table of first-party methods, or renew it in a file (plugins/README.md)."""
    from ddbench.cli.plugin_index import renew, table

    text = table(installed())
    if file is None:
        click.echo(text)
    else:
        renew(file, text)
        click.echo(file)
