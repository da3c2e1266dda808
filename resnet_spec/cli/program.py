"""The program: its commands, each in a module of the same name that is imported when it is called, and its exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path

import click

from resnet_spec.diagnostics import ResnetSpecError, printable

COMMANDS = (
    "new",
    "check",
    "summary",
    "diff",
    "build",
    "draw",
    "export",
    "train",
    "eval",
    "predict",
    "stats",
    "list",
    "schema",
    "explain",
)


class _Commands(click.Group):
    """Commands by name, each from the module of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"resnet_spec.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from resnet_spec.diagnostics import suggestion

            help = suggestion(args[0], COMMANDS)
            message = f"there is no command `{printable(args[0])}`" + (f"; {help}" if help else "")
            raise click.UsageError(message, error.ctx) from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  resnet-spec check specs/*.yaml
  resnet-spec summary resnet50
  resnet-spec build specs/resnet34.yaml --check-shape 3x224x224
""",
)
@click.version_option(package_name="resnet-spec", prog_name="resnet-spec")
def group() -> None:
    """Check image networks written as YAML specs, analyze them without torch, and compile them to PyTorch modules.

    A SPEC is a path, the name of a shipped spec (see `resnet-spec list`), `block:NAME` for a single block of the library, or
    `-` for standard input.
    """


def _reason(error: OSError) -> str:
    """Why a file cannot be read or written; for a file in a folder that does not exist, the folder."""
    if error.filename is None:
        return str(error)
    folder = Path(os.fsdecode(error.filename)).parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return f"there is no folder {folder}; create it first"
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def _report_missing_package(error: ModuleNotFoundError) -> int:
    """Report a missing package that was not checked before, such as a dependency of another one. Returns the exit code."""
    module = (error.name or "").partition(".")[0]
    if module in ("", "resnet_spec", *sys.stdlib_module_names):
        return _report_bug()
    from resnet_spec._system.packages import missing_packages
    from resnet_spec.cli.common import show_error

    return show_error(missing_packages("this command", [module]))


def _report_bug() -> int:
    """Print the traceback of the exception that is being handled. Returns the exit code."""
    import traceback

    traceback.print_exc()
    click.echo("this is a bug in resnet-spec; please report it with the spec that caused it", err=True)
    return 3


def run() -> int:
    """Run the command line; returns the exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters that the terminal cannot show are escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        code = group.main(prog_name="resnet-spec", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except click.Abort:
        code = 130
    except ResnetSpecError as error:
        from resnet_spec.cli.common import show_error

        code = show_error(error)
    except ModuleNotFoundError as error:
        code = _report_missing_package(error)
    except BrokenPipeError:  # the reader of the output has exited, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        click.echo(f"error: {printable(_reason(error))}", err=True)
        code = 2
    except Exception:  # any other exception is a bug: those that a user can cause are caught above
        code = _report_bug()
    code = code if isinstance(code, int) else 0
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torch's process groups sometimes abort when the interpreter exits
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _open_closed_streams() -> None:
    """Open standard streams that the caller has closed (`>&-`) as the null device: what is written is lost, and a file that is
    opened later does not become the standard output."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))
