"""`check` of many files: processes share the work, and nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resnet_spec.cli import check_files as subject
from resnet_spec.cli.check_report import report_results
from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_file
from resnet_spec.cli.inputs import Inputs
from resnet_spec.diagnostics.rendering import MessageFormat

INVALID = sorted(map(str, (Path(__file__).parents[1] / "invalid").glob("[a-d]*.yaml")))


FORMATS: tuple[MessageFormat, ...] = ("text", "json", "sarif")


def check_with(processes: int, names: list[str], options: CheckOptions, monkeypatch: pytest.MonkeyPatch) -> list[CheckedFile]:
    monkeypatch.setattr(subject, "_free_processors", lambda: processes)
    return list(subject.check_files(names, options))


@pytest.mark.parametrize("options", [CheckOptions(), CheckOptions(sets=("name=other",))])
def test_results_are_those_of_one_process_in_the_order_of_the_files(
    options: CheckOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*INVALID[:40], "resnet18", "no such file", *INVALID[40:]]
    assert len(names) > subject.LEAST
    printed = []
    for processes in (1, 2):
        results = check_with(processes, names, options, monkeypatch)
        assert sum(bool(result.findings) for result in results) > subject.LEAST
        for form in FORMATS:
            assert report_results(results, Inputs(tuple(names)), form, quiet=False) == 2
            printed.append(capsys.readouterr())
    assert printed[:3] == printed[3:]


def test_an_exception_in_a_process_is_raised_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = os.getpid()

    def fail(name: str, options: CheckOptions) -> CheckedFile:
        if os.getpid() != begun:
            raise ZeroDivisionError(name)
        return check_file(name, options)

    monkeypatch.setattr(subject, "check_file", fail)
    with pytest.raises(ZeroDivisionError):
        check_with(2, ["resnet18"] * subject.LEAST, CheckOptions(), monkeypatch)


@pytest.mark.parametrize("names", [["resnet18"] * (subject.LEAST - 1), ["resnet18"] * subject.LEAST])
def test_few_files_or_one_processor_need_no_process(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", None)
    processes = 2 if len(names) < subject.LEAST else 1
    assert len(check_with(processes, names, CheckOptions(), monkeypatch)) == len(names)
