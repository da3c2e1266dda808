"""The command line: arguments and exit codes. Each command has its own module, which `program` imports when it is called.

Exit codes: 0 success, 1 findings, 2 a wrong argument or a file that cannot be read or written, 3 a bug in resnet-spec, 130
ended by Ctrl-C.

Nothing is imported here before `main` runs, so that Ctrl-C ends the program quietly from its first moment on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnet_spec.cli.program import COMMANDS, group

__all__ = ["COMMANDS", "group", "main"]


def main() -> None:
    """Run the command line and exit."""
    try:
        from resnet_spec.cli.program import run

        code = run()
    except KeyboardInterrupt:  # during the imports, or while an error is shown
        code = 130
    sys.exit(code)


def __getattr__(name: str) -> object:
    if name in ("COMMANDS", "group"):
        from resnet_spec.cli import program

        return getattr(program, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
