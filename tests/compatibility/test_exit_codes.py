"""Each situation of `exit_codes.json` ends with the exit code and the findings that version 0.1.0 gave.

Severity and code of a finding are held, words and places are not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import resnet_spec

from .command_line import Done, inside, run
from .situations import EXIT_CODES, INVALID, Situation, golden_arguments, golden_names, outcome, prepare, situations

RECORDED: dict[str, Any] = json.loads(EXIT_CODES.read_text(encoding="utf-8"))
ALL = situations()
FREE = [each for each in ALL if not each.torch]
TORCH = [each for each in ALL if each.torch]

# Codes that no situation leads to, and why.
NOT_LED_TO = {
    "analysis-differs": "only a mistake of the program itself leads to it",
    "invalid-split": "the recipe and the facts in a file of weights are checked before, so no command reaches it",
    "missing-folder": "needs torchrun; tests/training/test_processes.py has it",
    "not-data": "the Python interface alone can be given data that YAML cannot say; tested below",
    "ranks-disagree": "needs several processes",
    "recipe-precision": "needs a GPU that does not compute in bf16",
    "recipe-sync": "needs several processes",
    "unknown-format": "`draw` refuses the format as a usage error before; the Python interface gives it, tested below",
    "worker-lost": "needs a process that reads images to be killed, at the right moment",
}


# What is otherwise since 0.2.0, on purpose: `check` searches folders, and checks recipes as well; `draw` names its file; `draw`
# and `new` make missing folders; an unknown code is an error in every format.
CHANGED: dict[str, list[Any]] = {
    "draw good.yaml": [0, []],
    "draw good.yaml -o nowhere/x.dot": [0, []],
    "new nowhere/x.yaml": [0, []],
    "explain nonsense --format markdown": [2, []],
    "check: folder": [0, ["warning small-receptive-field"]],
    "check: folder/": [0, ["warning small-receptive-field"]],
    **{
        f"eval on folder:data/{name}": [1, ["error data-classes"]]  # it can be evaluated now, by a network of its classes
        for name in ("one_class", "strange_class", "train_is_empty")
    },
    "eval good.yaml": [2, ["error invalid-argument"]],  # a spec, which may be named now, together with weights
    "predict good.yaml image.png": [2, ["error invalid-argument"]],
    "check short.yaml": [0, []],
    "check: short.yaml": [0, []],
}
# Golden mistakes that became valid, or that have another code, since the language reaches further.
CHANGED_GOLDEN: dict[str, dict[str, list[Any]]] = {
    "recipe_where_a_spec_belongs": {"check": [1, ["error recipe-length"]]},
    "from_in_the_stem": {
        "check": [0, ["warning doubled-operation", "warning unused-classes"]],
        **{key: [0, []] for key in ("summary", "draw", "build")},
    },
    "name_with_a_dot": {"check": [0, ["warning unused-classes"]], **{key: [0, []] for key in ("summary", "draw", "build")}},
    "list_for_a_nested_block": {key: [1, ["error expression-type"]] for key in ("check", "summary", "draw", "build")},
}


@pytest.fixture(scope="module")
def free_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the situations that do without torch name."""
    folder = tmp_path_factory.mktemp("free")
    prepare(folder, torch=False)
    return folder


@pytest.fixture(scope="module")
def torch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with runs and weights."""
    folder = tmp_path_factory.mktemp("torch")
    with inside(folder):
        prepare(folder, torch=True)
    return folder


def test_every_situation_is_recorded() -> None:
    assert [each.name for each in ALL] == list(RECORDED["situations"])
    assert golden_names() == list(RECORDED["golden"])


@pytest.mark.parametrize("name", golden_names())
def test_a_golden_mistake_ends_as_it_did(name: str, tmp_path: Path) -> None:
    with inside(INVALID):
        found = {command: outcome(run(*arguments)) for command, arguments in golden_arguments(name, tmp_path).items()}
    assert found == RECORDED["golden"][name] | CHANGED_GOLDEN.get(name, {})


def _is_new_warning(finding: str) -> bool:
    severity, _, code = finding.partition(" ")
    return severity == "warning" and code not in RECORDED["codes"]


def assert_as_recorded(done: Done, situation: Situation) -> None:
    """The recorded exit code and findings. Where a command failed without a finding, it may report one now; and a spec may give
    warnings that version 0.1.0 did not know."""
    code, findings = CHANGED.get(situation.name, RECORDED["situations"][situation.name])
    now, reported = outcome(done)
    if isinstance(reported, list):
        reported = [each for each in reported if not _is_new_warning(each)]
    assert now == code, done.stdout + done.stderr
    assert reported == findings or (code and not findings), done.stdout + done.stderr


@pytest.mark.parametrize("situation", FREE, ids=lambda each: each.name)
def test_a_command_without_torch_ends_as_it_did(situation: Situation, free_folder: Path) -> None:
    with inside(free_folder):
        done = run(*situation.arguments, stdin=situation.stdin)
    assert_as_recorded(done, situation)


@pytest.mark.torch
@pytest.mark.parametrize("situation", TORCH, ids=lambda each: each.name)
def test_a_command_with_torch_ends_as_it_did(situation: Situation, torch_folder: Path) -> None:
    with inside(torch_folder):
        done = run(*situation.arguments, stdin=situation.stdin)
    assert_as_recorded(done, situation)


def test_no_situation_is_a_mistake_of_the_program() -> None:
    ends = [*RECORDED["situations"].values(), *(end for each in RECORDED["golden"].values() for end in each.values())]
    assert {end[0] for end in ends} == {0, 1, 2}


def test_every_code_is_led_to_but_for_those_that_say_why() -> None:
    ends = [*RECORDED["situations"].values(), *(end for each in RECORDED["golden"].values() for end in each.values())]
    seen = {finding.partition(" ")[2] for _, findings in ends for finding in findings}
    assert sorted(seen | NOT_LED_TO.keys()) == sorted(RECORDED["codes"])
    assert not seen & NOT_LED_TO.keys()


def test_every_code_there_was_is_still_explained() -> None:
    codes = {line.partition(":")[0] for line in run("explain").stdout.splitlines()}
    assert codes >= set(RECORDED["codes"])


def test_codes_that_the_python_interface_alone_gives(tmp_path: Path) -> None:
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze({"spec": 1, "name": {1, 2}})
    assert [each.code for each in caught.value.diagnostics] == ["not-data"]
    with pytest.raises(resnet_spec.ResnetSpecError) as wrong:
        resnet_spec.draw("cifar_resnet20", tmp_path / "x.gif")
    assert [each.code for each in wrong.value.diagnostics] == ["unknown-format"]
