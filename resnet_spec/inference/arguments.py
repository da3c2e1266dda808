"""Checks the arguments that `evaluate` and `predict` share."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

from resnet_spec.data.kinds import KINDS
from resnet_spec.diagnostics import ArgumentError, Diagnostic
from resnet_spec.diagnostics.arguments import as_integer, quote, require_choice, wrong_argument
from resnet_spec.diagnostics.text import shorten
from resnet_spec.training.recipe import Precision

_ADDRESS = re.compile(r"(https?|ftp|s3|gs|hf|file):/{1,3}(.*)", re.IGNORECASE | re.DOTALL)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")
_PRECISION_SYNONYMS = {"half": "fp16", "float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float": "fp32"}


def require_precision(value: object) -> Precision:
    """Return a precision. Raises ArgumentError for anything else."""
    return require_choice("precision", value, PRECISIONS, _PRECISION_SYNONYMS)


def require_integer(name: str, value: object, least: int) -> int:
    """Return an integer of at least `least`. Raises ArgumentError for anything else."""
    number = as_integer(value)
    if number is None or number < least:
        raise wrong_argument(f"`{name}` takes an integer, {least} or more, not {quote(value)}")
    return number


def require_run(value: object) -> Path:
    """Return the path of a run folder or a file of weights. Raises ArgumentError; whether it exists is checked later."""
    if not isinstance(value, str | Path):
        help = "for a spec, name its weights: `weights=FILE`"
        raise wrong_argument(f"`path` takes a run folder or a file of weights, not {quote(value)}", help)
    refuse_address(value, "the weights")
    return Path(value)


def refuse_address(path: str | Path, what: str) -> None:
    """Refuse the address of `what`, such as `https://...`, where a path is expected. Raises ArgumentError."""
    found = _ADDRESS.fullmatch(str(path))
    if found is None or os.path.exists(path):
        return
    scheme, rest = found[1].lower(), found[2]
    if scheme == "file":
        message, help = "a path is expected here, not an address", f"write {shorten(unquote('/' + rest.lstrip('/')), 100)}"
    else:
        address = f"{scheme}://{rest}"  # a `Path` has one slash
        message = f"{shorten(address, 100)} is an address, but resnet-spec downloads nothing"
        by = f": `curl -LO {shorten(shlex.quote(address), 200)}`" if scheme in ("http", "https", "ftp") else ""
        help = f"download {what} first, and name the file{by}"
    raise ArgumentError([Diagnostic("missing-file", message, None, help=help)])


def require_data(value: object) -> str:
    """Return a `--data` argument. Raises ArgumentError; whether the data exist is checked later."""
    if not isinstance(value, str):
        raise wrong_argument(f"`data` takes one of {', '.join(kind.usage for kind in KINDS.values())}, not {quote(value)}")
    return value


def require_device(value: object) -> str:
    """Return the name of a device. Raises ArgumentError; whether the machine has it is checked later."""
    if not isinstance(value, str):
        raise wrong_argument(f"`device` takes the name of a device, {', '.join(DEVICES)}, not {quote(value)}")
    return value
