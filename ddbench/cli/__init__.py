"""Commands: what users type becomes calls into the rooms below, and results become text on stdout.

Imports nothing heavy, so that a Ctrl-C in the first moments is caught as well.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from ddbench.core.cpu import wait_briefly


def main(arguments: list[str] | None = None) -> None:
    """Entry point: 0 done, 1 some failed, 2 usage, 130 interrupted."""
    wait_briefly()
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _tell("interrupted; the same command continues where it stopped", 130)


def _run(arguments: list[str]) -> int:  # noqa: PLR0911 - one return per way to end
    import click

    from ddbench.cli.root import root
    from ddbench.core.errors import DDBenchError
    from ddbench.core.settings import check_environment

    try:
        check_environment()
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            code = root.main(arguments, prog_name="ddbench", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        return 2
    except click.ClickException as error:
        return _tell(error.format_message(), 2)
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left: not our error
        return 0
    except Exception as error:
        if "-v" in arguments or "--verbose" in arguments:
            import traceback

            traceback.print_exc()
        if isinstance(error, DDBenchError):
            return _tell(str(error), error.exit_code)
        return _tell(f"{type(error).__name__}: {error} (a defect of ddbench or a plugin; -v shows where)", 1)


def _tell(message: str, code: int) -> int:
    print(f"ddbench: {message}", file=sys.stderr)
    return code


def _show_warning(message: Any, category: type[Warning], *_: Any) -> None:
    """One line per warning of ours; those of libraries are for their authors."""
    if category.__module__.startswith("ddbench"):
        print(f"ddbench: warning: {message}", file=sys.stderr)
