"""The time for a text with many mistakes grows with their number, and not with its square."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

import resnet_spec
from resnet_spec.diagnostics import SYNONYMS, Diagnostic, SpecError, closest, suggestion
from resnet_spec.diagnostics.effort import MOST, limit_effort
from resnet_spec.diagnostics.proving import MOST_FINDINGS
from resnet_spec.diagnostics.rendering import MessageFormat, render
from resnet_spec.lowering.findings import MOST_JOINED

HEAD = "spec: 1\ninput: 3x8x8\nstem: {r: relu}\n"
FEW, MANY = 400, 2000  # five times as many: 25 times the time where it is quadratic
MOST_TIMES = 12

TEXTS: dict[str, Callable[[range], str]] = {
    "warnings, one on a line": lambda each: f"{HEAD}params:\n" + "".join(f"  a{n}: 010\n" for n in each),
    "warnings, all on a line": lambda each: f"{HEAD}params: {{{', '.join(f'a{n}: 010' for n in each)}}}\n",
    "unknown names": lambda each: f"{HEAD}params:\n" + "".join(f"  a{n}: b{n}\n" for n in each),
    "unknown keys": lambda each: HEAD + "".join(f"a{n}: 1\n" for n in each),
    "keys that belong further down": lambda each: (
        f"{HEAD}params: {{{', '.join(f'b{n}: 1' for n in each)}}}\n" + "".join(f"b{n}: 1\n" for n in each)
    ),
    "deletions": lambda each: f"{HEAD}params:\n  b: 1\n" + "".join(f"  a{n}: null\n" for n in each),
    "unknown siblings": lambda each: "spec: 1\nstem:\n" + "".join(f"  a{n}: {{op: relu, insert_after: x{n}}}\n" for n in each),
    "unknown codes": lambda each: f"{HEAD}params:\n" + "".join(f"  a{n}: 1  # resnet-spec: ignore[x-{n}]\n" for n in each),
}


def findings(text: str) -> tuple[Diagnostic, ...]:
    try:
        analysis = resnet_spec.analyze(text)
    except SpecError as error:
        return error.diagnostics
    return (*analysis.warnings, *analysis.lints)


def seconds(text: str) -> float:
    """Processor time to check a text and to show what is wrong with it; the shorter of two attempts."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        render(findings(text), "text")
        taken.append(time.process_time() - start)
    return min(taken)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_time_is_proportional_to_the_number_of_findings(text: Callable[[range], str]) -> None:
    assert len(findings(text(range(MANY)))) >= MANY
    seconds(text(range(10)))
    assert seconds(text(range(MANY))) < MOST_TIMES * seconds(text(range(FEW))) + 0.1


def test_a_value_that_overrides_others_is_found_among_many() -> None:
    base = f"{HEAD}params:\n" + "".join(f"  a{n}: {n}\n" for n in range(MANY))
    patches = [f"params.a{n}={n}//0" for n in range(0, MANY, 100)]
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(base + "head: {l: {op: conv2d, out_channels: a700, kernel_size: 1}}\n", set=patches)
    (finding,) = caught.value.diagnostics
    assert finding.notes == ("`700//0` at --set:1 overrides `700` of <text>:705",)


@pytest.mark.parametrize("word", ["layr137", "layer1377", "lyer137", "layer_137", "LAYER137"])
def test_a_typo_is_found_among_many_names(word: str) -> None:
    names = [f"{letter}{n}" for letter in ("conv", "bn", "layer", "relu") for n in range(130, 170)]
    assert closest(word, names) == "layer137"


SPELLED: dict[str, tuple[Callable[[int], str], str]] = {
    "names": (
        lambda n: f"{HEAD}params:\n  width_of_all: 4\n" + "".join(f"  a{k}: width_of_al{k}\n" for k in range(n)),
        "width_of_all",
    ),
    "functions": (
        lambda n: f"{HEAD}params:\n" + "".join(f"  a{k}: make_divisible{k}(1)\n" for k in range(n)),
        "make_divisible",
    ),
    "operations": (
        lambda n: "spec: 1\ninput: 3x8x8\nstem:\n" + "".join(f"  a{k}: hardswich{k}\n" for k in range(n)),
        "hardswish",
    ),
    "keys": (
        lambda n: HEAD + "blocks:\n  b:\n    branch: {r: relu}\n" + "".join(f"    shortcat{k}: 1\n" for k in range(n)),
        "shortcut",
    ),
    "siblings": (
        lambda n: (
            "spec: 1\ninput: 3x8x8\nstem:\n  first: relu\n"
            + "".join(f"  a{k}: {{op: relu, insert_after: frist{k}}}\n" for k in range(n))
        ),
        "first",
    ),
}


@pytest.mark.parametrize("what", SPELLED)
def test_a_spelling_is_sought_for_the_first_of_many_unknown_words(what: str) -> None:
    text, meant = SPELLED[what]
    found = findings(text(MOST["word"] + 100))
    assert len(found) >= MOST["word"] + 100
    assert [f"`{meant}`?" in finding.help for finding in found].count(True) == MOST["word"]


NO_FIXES = "spec: 1\ninput: 3x8x8\nstem:\n" + "".join(f"  a{n}: relu{n}x\n" for n in range(MOST_FINDINGS + 1))


def spend_all_words() -> None:
    for number in range(MOST["word"]):
        closest(f"word{number}", ["other"])


def test_synonyms_are_suggested_for_all() -> None:
    with limit_effort():
        assert closest("kernel_siz", ["kernel_size"]) == "kernel_size"
        spend_all_words()
        assert closest("kernel_sze", ["kernel_size"]) is None
        assert closest("Kernel", ["kernel_size"], SYNONYMS) == "kernel_size"
        assert closest("Kernel", ["stride"], SYNONYMS) is None
        assert suggestion("kernel_sze", ["kernel_size", "stride"]) == "known here: `kernel_size`, `stride`"


def test_a_word_counts_once() -> None:
    with limit_effort():
        for _ in range(2 * MOST["word"]):
            assert closest("kernel_siz", ["kernel_size"]) == "kernel_size"
        assert closest("kernel_sze", ["kernel_size"]) == "kernel_size"


def test_a_text_within_the_check_of_another_has_its_own_limits() -> None:
    with limit_effort():
        spend_all_words()
        with limit_effort():
            assert closest("kernel_siz", ["kernel_size"]) == "kernel_size"
            spend_all_words()
            assert closest("kernel_sze", ["kernel_size"]) is None
        assert closest("kernel_siz", ["kernel_size"]) is None
    assert closest("kernel_siz", ["kernel_size"]) == "kernel_size"


def test_the_limits_of_a_text_end_with_an_error() -> None:
    with suppress(SpecError), limit_effort():
        spend_all_words()
        raise SpecError([])
    assert closest("kernel_siz", ["kernel_size"]) == "kernel_size"


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_all_of_many_findings_are_reported(form: MessageFormat) -> None:
    found = findings(NO_FIXES)
    assert len({finding.span for finding in found}) == len(found) == MOST_FINDINGS + 1
    document = json.loads(render(found, form))
    listed = document["runs"][0]["results"] if form == "sarif" else document["diagnostics"]
    assert [each["ruleId" if form == "sarif" else "code"] for each in listed] == ["unknown-operation"] * (MOST_FINDINGS + 1)


def test_with_too_many_findings_there_are_no_fixes() -> None:
    assert not any(finding.fixes for finding in findings(NO_FIXES))
    fewer = NO_FIXES.replace(f"  a{MOST_FINDINGS}: relu{MOST_FINDINGS}x\n", "")
    assert sum(bool(finding.fixes) for finding in findings(fewer)) >= 1


def test_a_word_that_is_misspelled_in_many_places_is_one_finding_with_one_fix() -> None:
    """More places than words are sought for."""
    count = MOST_JOINED
    assert count > MOST["word"]
    text = "spec: 1\ninput: 3x8x8\nstem:\n" + "".join(f"  a{n}: rellu\n" for n in range(count))
    (finding,) = findings(text)
    (fix,) = finding.fixes
    assert len(fix.edits) == count
    assert {edit.text for edit in fix.edits} == {"relu"}


def test_a_corrected_expression_is_sought_for_the_first_of_many() -> None:
    text = HEAD + "params:\n" + "".join(f"  a{n}: {n} && 2\n" for n in range(MOST["slip"] + 50))
    found = findings(text)
    assert len(found) == MOST["slip"] + 50
    assert ["`&&` is written `and`" in finding.help for finding in found].count(True) == MOST["slip"]


def test_of_many_missing_arguments_the_first_are_named() -> None:
    block = f"{{args: [{', '.join(f'a{n}' for n in range(40))}], branch: {{r: relu}}}}"
    found = findings(f"spec: 1\ninput: 3x8x8\nblocks: {{b: {block}}}\nstem: {{u: {{op: b, a0: 1, a7: 1}}}}\n")
    named = [f"the block `b` needs the argument `a{n}`" for n in range(1, 6)]
    assert [finding.message for finding in found] == [*named, "the block `b` takes 40 arguments, and 2 are given"]
