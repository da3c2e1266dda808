"""Findings as text, for people and for programs. Nothing is printed here; untrusted text is escaped.

Each message format has a reporter: the module of its name in `reporters`, with a function `report`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

from .model import Diagnostic

MessageFormat = Literal["text", "concise", "json", "github", "sarif"]  # the modules in `reporters`
MESSAGE_FORMATS: tuple[MessageFormat, ...] = get_args(MessageFormat)
Reporter = Callable[[Sequence[Diagnostic], bool], str]


def render(diagnostics: Iterable[Diagnostic], message_format: MessageFormat = "text", color: bool = False) -> str:
    """All findings in one of the formats, with a final line break; without findings, the formats for people are empty."""
    report: Reporter = importlib.import_module(f"resnet_spec.diagnostics.reporters.{message_format}").report
    return report(list(diagnostics), color)
