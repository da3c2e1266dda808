"""`resnet-spec explain`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from resnet_spec.cli import group
from resnet_spec.language.catalog import catalog


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["explain", *arguments])


@pytest.mark.parametrize(
    "written", ["shape-mismatch", "error[shape-mismatch]", "error[shape-mismatch]:", "warning[shape-mismatch]"]
)
def test_a_code_is_taken_as_findings_show_it(written: str) -> None:
    done = explain(written)
    assert done.exit_code == 0
    assert done.output.startswith("shape-mismatch\n\nValues of different shapes are combined.")


@pytest.mark.parametrize("code", ["E001", "F401", "C0114", "TS2304", "sim102", "E-0308", "error[E0308]"])
def test_a_code_of_another_tool_is_answered_with_how_ours_look(code: str) -> None:
    done = explain(code)
    assert done.exit_code == 2
    named = code.removeprefix("error[").removesuffix("]")
    assert f"`{named}` is not a code of resnet-spec, whose codes are words, such as `shape-mismatch`" in done.output
    assert "`resnet-spec explain` lists all codes" in done.output


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("shape_mismatch", "did you mean `shape-mismatch`?"),
        ("Unknown-Name", "did you mean `unknown-name`?"),
        ("padding", "these are about it: `padding-too-large`, `same-padding-stride`;"),
        ("kernel", "these are about it: `even-kernel`, `kernel-too-large`;"),
        ("anchor", "these are about it: `alias-cycle`"),
        ("xyzzy", "there is no code `xyzzy`; `resnet-spec explain` lists all codes"),
        ("", "there is no code ``; `resnet-spec explain` lists all codes"),
        ("\x1b[31m", "there is no code `\\x1b[31m`"),
    ],
)
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_codes_that_may_be_meant_are_listed(code: str, words: str, form: str) -> None:
    done = explain("--format", form, "--", code)
    assert done.exit_code == 2
    assert words in done.output
    assert "\x1b" not in done.output


def test_of_many_codes_about_a_word_the_first_are_listed() -> None:
    about = [name for name in catalog() if "recipe" in name.split("-")]
    output = explain("recipe").output
    assert len(about) > 6
    assert ", ".join(f"`{name}`" for name in about[:6]) + f" and {len(about) - 6} more" in output


def test_every_code_named_in_a_message_exists() -> None:
    assert {"shape-mismatch", "unknown-name"} <= catalog().keys()
