"""The fuzzer: each target draws cases and checks them, and whatever a case does wrong is reported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_spec.training import session
from tests.fuzz import TARGETS, make_target
from tests.fuzz.__main__ import chance_of
from tests.fuzz.broken import Broken

ROOT = Path(__file__).parent.parent
CASES = 8


def fuzz(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", "--out", str(out), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_draws_cases_and_checks_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = vars(session)["write_pictures"]
    monkeypatch.setattr(session, "write_pictures", pictures)  # it is set back where a target has replaced it
    (tmp_path / "own").mkdir()
    target = make_target(name, tmp_path / "own")
    outcomes = []
    for number in range(CASES):
        case = target.draw(chance_of(1, name, number))
        assert case == target.draw(chance_of(1, name, number))
        outcomes.append(target.check(case))
        target.write(case, tmp_path / "out" / str(number))
    assert len({outcome.accepted for outcome in outcomes}) == 2, "only one kind of end among the first cases"
    assert any((tmp_path / "out").iterdir())


def test_whatever_a_case_does_wrong_is_reported(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "--only", "tests.fuzz.broken:Broken", "--seconds", "6", "--seed", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    for what in ("wrong indeed", "KeyError: 'a missing key'", "more than 0.2 s of processor time", "the process grew by 1"):
        assert what in done.stdout, done.stdout
    written = {path.read_text() for path in tmp_path.glob("*.case.txt")}
    assert written == {"wrong", "error", "slow", "large"}
    case = re.search(r"exit code 3: python -m tests.fuzz --seed 1 --only tests.fuzz.broken:Broken --case ([0-9]+)", done.stdout)
    assert case is not None, done.stdout
    assert Broken(tmp_path).draw(chance_of(1, "tests.fuzz.broken:Broken", int(case[1]))) == "ends"
    counts = re.search(
        r"([0-9,]+) cases, ([0-9,]+) accepted, ([0-9,]+) refused, ([0-9,]+) compared, ([0-9]+) failed", done.stdout
    )
    assert counts is not None, done.stdout
    cases, accepted, refused, compared, failed = (int(text.replace(",", "")) for text in counts.groups())
    assert cases == accepted + refused + failed
    assert accepted == compared > 0


def test_a_target_that_does_nothing_wrong_ends_well(tmp_path: Path) -> None:
    done = fuzz(tmp_path / "out", "--only", "recipes", "--seconds", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^recipes: [1-9][0-9,]* cases, .* 0 failed$", done.stdout, re.MULTILINE)
    assert not (tmp_path / "out").exists()


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "--only", "nothing")
    assert done.returncode == 2
    assert "`nothing` is none of specs, recipes" in done.stderr
