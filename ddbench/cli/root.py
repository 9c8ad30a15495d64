"""The command tree: one file per command group, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ddbench.core.errors import unknown

COMMANDS = {
    "run": ("ddbench.cli.run:run", "Run methods on data sets and print the comparison table."),
    "plan": ("ddbench.cli.run:plan", "Show what a run would do: one row per node (run --dry-run)."),
    "status": ("ddbench.cli.status:status", "Show how a run stands: what works where, since when, and how long still."),
    "cancel": ("ddbench.cli.status:cancel", "End the jobs that a run left with Slurm or Ray."),
    "tune": ("ddbench.cli.tune:tune", "Try configurations of methods where nothing is reported; their ledger."),
    "list": ("ddbench.cli.list:list_members", "List methods, datasets, archs, protocols or artifacts."),
    "describe": ("ddbench.cli.list:describe", "Describe a member: parameters, presets, paper, who registered it."),
    "plugin": ("ddbench.cli.plugin.commands:plugin", "List, check, diagnose and start plugins."),
    "data": ("ddbench.cli.data:data", "List and prepare data sets."),
    "results": ("ddbench.cli.results.show_export:results", "Show, export, verify, remove and amend results; a page."),
    "leaderboard": ("ddbench.cli.leaderboard:leaderboard", "Render tables into pages, and check them."),
    "evaluate": ("ddbench.cli.exchange:evaluate", "Score sets made elsewhere, beside random and full."),
    "import": ("ddbench.cli.exchange:import_", "Import sets made elsewhere, and report how each file was interpreted."),
    "export": ("ddbench.cli.exchange:export", "Write a set in a format that needs no ddbench."),
    "show": ("ddbench.cli.results.show_export:show", "Show a condensed set as a picture."),
    "plot": ("ddbench.cli.plot:plot", "Draw results: by images per class, by cost, by window; images."),
    "artifacts": ("ddbench.cli.artifacts:artifacts", "List, import and remove shared inputs."),
    "env": ("ddbench.cli.env:env", "Print versions, devices and folders."),
}
HIDDEN = {"work": ("ddbench.cli.work:work", "Run nodes for `ddbench run --jobs`.")}
"""Not listed: what ddbench itself starts."""


class Stopped(BaseException):
    """Ctrl-C; click would print an empty line for it."""


class Lazy(click.Group):
    """A group whose commands are imported only when they run: `ddbench --help` stays fast."""

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*given, **more)
        except KeyboardInterrupt:
            raise Stopped from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the manual."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        known = COMMANDS | HIDDEN
        if cmd_name not in known:
            return None
        module, _, attribute = known[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which is near."""
        if args and args[0] not in COMMANDS | HIDDEN and not args[0].startswith("-"):
            raise unknown("command", args[0], COMMANDS, "ddbench --help")
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ddbench")
def root() -> None:
    """Run dataset-distillation methods and compare them fairly.

    To begin: ddbench run --methods random,kmeans,dm --ipc 1,10
    """
