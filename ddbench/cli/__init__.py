"""Commands: what users type becomes calls into the rooms below, and results become text on stdout.

Imports nothing heavy, so that a Ctrl-C in the first moments is caught as well.
"""

from __future__ import annotations

import sys

from ddbench.core.cpu import wait_briefly

TYPE_CHECKING = False  # without importing typing: a Ctrl-C there would end in a traceback
if TYPE_CHECKING:
    from typing import Any


def main(arguments: list[str] | None = None) -> None:
    """Entry point: 0 done, 1 some failed, 2 usage, 130 interrupted."""
    try:
        from ddbench.cli import console
        from ddbench.core.plugin.refusals import process_is_ours

        process_is_ours()
        wait_briefly()
        console.prepare()
        code = invoke(sys.argv[1:] if arguments is None else arguments)
        code = console.flushed(code)
    except KeyboardInterrupt:
        code = _tell(INTERRUPTED, 130)
    _end_in_spite_of_threads(code)
    sys.exit(code)


def _end_in_spite_of_threads(code: int) -> None:
    """End now if a plugin left threads running that Python would wait for."""
    import atexit
    import os
    import threading

    from ddbench.core.words import plural

    left = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if left:
        print(f"ddbench: ended {plural(len(left), 'thread')} of a plugin, still running", file=sys.stderr)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


INTERRUPTED = "interrupted; the same command continues where it stopped"


def invoke(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _tell(INTERRUPTED, 130)


def _run(arguments: list[str]) -> int:  # noqa: PLR0911 - one return per way to end
    import errno
    import warnings
    from contextlib import closing

    import click

    from ddbench.cli.console import OutputError
    from ddbench.cli.root import Stopped, root
    from ddbench.core.errors import DDBenchError
    from ddbench.core.settings import check_environment

    try:
        with warnings.catch_warnings(), closing(_Warnings()) as told:
            warnings.showwarning = told.show  # type: ignore[assignment]
            check_environment()
            code = root.main(arguments, prog_name="ddbench", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        return 2
    except click.ClickException as error:
        return _tell(error.format_message(), 2)
    except (click.exceptions.Abort, Stopped):
        raise KeyboardInterrupt from None
    except OutputError as error:
        return _tell(str(error), 0 if error.unread else 1)
    except Exception as error:
        if "-v" in arguments or "--verbose" in arguments:
            import traceback

            traceback.print_exc()
        if isinstance(error, DDBenchError):
            return _tell(str(error), error.exit_code)
        if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):  # of what was typed
            why = "the name is too long" if error.errno == errno.ENAMETOOLONG else "links that lead back to themselves"
            return _tell(f"{str(error.filename)[:80]}: {why}: give another path", 2)
        return _tell(f"{type(error).__name__}: {error} (a defect of ddbench or a plugin; -v shows where)", 1)


def _tell(message: str, code: int) -> int:
    print(f"ddbench: {message}", file=sys.stderr)
    return code


class _Warnings:
    """One line per warning of ours, one for all files of a newer ddbench; those of libraries are for their authors."""

    def __init__(self) -> None:
        self._newer: dict[str, Any] = {}

    def show(self, message: Any, category: type[Warning], *_: Any) -> None:
        """Tell it now, or at the end."""
        from ddbench.core.errors import Notice
        from ddbench.core.store.files import NewerRecordWarning

        if isinstance(message, NewerRecordWarning):
            self._newer[message.error.where] = message.error
        elif category.__module__.startswith("ddbench"):
            print(f"ddbench: {'' if issubclass(category, Notice) else 'warning: '}{message}", file=sys.stderr)

    def close(self) -> None:
        """Tell what is left."""
        if self._newer:
            from ddbench.cli.records import summary

            # Not list(…): the module ddbench.cli.list takes that name here once it is imported.
            print(f"ddbench: warning: {summary([*self._newer.values()])}", file=sys.stderr)
