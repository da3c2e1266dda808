"""The time for a text with many mistakes grows with their number, and not with its square."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, SpecError, closest
from resnet_spec.diagnostics.rendering import render

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
