"""The messages: each `invalid/NAME.yaml` is a mistake, and `NAME.txt` what `check` says of it.

`UPDATE_GOLDEN=1` writes the texts anew. Read them as somebody would who made the mistake.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from resnet_spec.cli import group

FOLDER = Path(__file__).parent.parent / "invalid"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def check(name: str, style: str) -> str:
    done = CliRunner().invoke(group, ["check", f"{name}.yaml", "--quiet", "--message-format", style])
    assert done.exit_code == 1, done.output
    return done.stdout


def findings(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(check(name, "json"))["diagnostics"]
    return found


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one(name: str) -> None:
    golden = FOLDER / f"{name}.txt"
    found = check(name, "text")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_every_finding_has_a_place_in_a_file_of_the_user(name: str) -> None:
    for finding in findings(name):
        assert finding["location"] is not None
        path, _, _ = finding["location"]["file"].rpartition("/")
        assert path in ("", "parts")
        assert (FOLDER / finding["location"]["file"]).is_file()


@pytest.mark.parametrize("name", CASES)
def test_every_finding_says_what_to_do(name: str) -> None:
    assert [finding["message"] for finding in findings(name) if not finding["help"]] == []


def test_no_two_cases_say_the_same() -> None:
    said = Counter(key for name in CASES for key in {(f["code"], f["message"], f["label"]) for f in findings(name)})
    assert [key for key, count in said.items() if count > 1] == []


def test_every_text_has_its_case() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == CASES


def test_there_are_many_kinds_of_mistakes() -> None:
    codes = {finding["code"] for name in CASES for finding in findings(name)}
    assert len(CASES) >= 100
    assert len(codes) >= 40
