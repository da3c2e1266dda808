"""`resnet-spec check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_spec import analyze
from resnet_spec.cli import group
from resnet_spec.cli.common import show_error
from resnet_spec.diagnostics import SpecError
from resnet_spec.language.library import shipped_names
from tests.cli.conftest import Shell

GOOD = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}\n"
WARNS = GOOD + "name: no\n"
BAD = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 99}}\n"


def check(*arguments: str, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(group, ["check", *arguments], input=input)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"good.yaml": GOOD, "warns.yaml": WARNS, "bad.yaml": BAD}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.slow
def test_every_shipped_spec_is_good() -> None:
    names = shipped_names()
    done = check(*names)
    assert done.exit_code == 0, done.output
    assert [line.partition(": ok, ")[0] for line in done.output.splitlines()[:-1]] == list(names)
    assert done.output.endswith(f"{len(names)} specs checked, {len(names)} ok: 0 errors, 0 warnings\n")


def test_a_good_spec_is_told_with_its_counts(folder: Path) -> None:
    """3 * 2 * 3 * 3 weights, used at 6 x 6 places."""
    assert check("good.yaml").output.startswith("good.yaml: ok, 3x8x8 -> 2x6x6, 54 parameters, 1,944 multiply-adds")


def test_findings_are_the_product_and_go_to_stdout(folder: Path) -> None:
    done = check("bad.yaml")
    assert done.exit_code == 1
    assert done.stdout.startswith("error[kernel-too-large]: c: conv2d has a kernel of 99x99, larger than its 8x8 input")
    assert " --> bad.yaml:3:54\n" in done.stdout
    assert done.stderr == ""


def test_several_specs_are_counted(folder: Path) -> None:
    done = check("good.yaml", "warns.yaml", "bad.yaml")
    assert done.stdout.splitlines()[-1] == "3 specs checked, 2 ok: 1 error, 1 warning"


def test_concise_is_a_line_for_each_finding(folder: Path) -> None:
    done = check("bad.yaml", "warns.yaml", "--message-format", "concise")
    lines = done.stdout.splitlines()
    assert [line.partition("]")[0] for line in lines] == [
        "bad.yaml:3:54: error[kernel-too-large",
        "warns.yaml:4:7: warning[yaml-1.1",
    ]


def test_json_is_versioned_and_complete(folder: Path) -> None:
    document = json.loads(check("bad.yaml", "--message-format", "json").stdout)
    assert document["version"] == 1
    (finding,) = document["diagnostics"]
    assert (finding["code"], finding["severity"]) == ("kernel-too-large", "error")
    assert finding["location"] == {"file": "bad.yaml", "line": 3, "column": 54, "end_line": 3, "end_column": 56}
    assert finding["help"]


def test_json_of_a_good_spec_has_no_findings(folder: Path) -> None:
    network = {
        "name": "good",
        "input": [3, 8, 8],
        "output": [2, 6, 6],
        "params": 54,
        "buffers": 0,
        "macs": 1944,
        "accepts": "height and width of 3 or more pixels",
    }
    good = {"file": "good.yaml", "kind": "spec", "result": "ok", "errors": 0, "warnings": 0, "diagnostics": []}
    assert json.loads(check("good.yaml", "--message-format", "json").stdout) == {
        "version": 1,
        "diagnostics": [],
        "files": [{**good, "network": network}],
        "counts": {"files": 1, "ok": 1, "errors": 0, "warnings": 0, "skipped": 0},
        "skipped": [],
    }


def test_json_has_a_result_for_each_file(folder: Path) -> None:
    document = json.loads(check("warns.yaml", "bad.yaml", "none.yaml", "good.yaml", "--message-format", "json").stdout)
    found = [(each["file"], each["kind"], each["result"], each["errors"], each["warnings"]) for each in document["files"]]
    assert found == [
        ("warns.yaml", "spec", "ok", 0, 1),
        ("bad.yaml", "spec", "failed", 1, 0),
        ("none.yaml", None, "unreadable", 1, 0),
        ("good.yaml", "spec", "ok", 0, 0),
    ]
    assert document["counts"] == {"files": 4, "ok": 2, "errors": 2, "warnings": 1, "skipped": 0}
    codes = [[document["diagnostics"][number]["code"] for number in each["diagnostics"]] for each in document["files"]]
    assert codes == [["yaml-1.1"], ["kernel-too-large"], ["missing-file"], []]


def test_a_finding_of_two_files_is_reported_once_and_belongs_to_both(folder: Path) -> None:
    (folder / "base.yaml").write_text(GOOD + "about: no\n")
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("spec: 1\nextends: base.yaml\nstem: {c: {padding: 1}}\n")
    document = json.loads(check("a.yaml", "b.yaml", "--message-format", "json").stdout)
    shared = [number for number, each in enumerate(document["diagnostics"]) if each["code"] == "yaml-1.1"]
    assert len(shared) == 1
    assert all(shared[0] in each["diagnostics"] and each["warnings"] == 1 for each in document["files"])
    assert document["counts"]["warnings"] == 1


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["-W", "error"], 1)])
def test_warnings_are_findings_when_asked(folder: Path, arguments: list[str], code: int) -> None:
    done = check("warns.yaml", *arguments)
    assert done.exit_code == code
    assert done.stdout.startswith("error" if code else "warning")


def test_a_spec_whose_warnings_are_errors_is_not_ok(folder: Path) -> None:
    done = check("warns.yaml", "good.yaml", "-W", "error")
    assert "warns.yaml: ok" not in done.stdout
    assert done.stdout.splitlines()[-1] == "2 specs checked, 1 ok: 1 error, 0 warnings"


TWO = WARNS + "params: {n: 3}\n"


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ([], {"yaml-1.1", "unused-definition"}),
        (["--select", "yaml-1.1"], {"yaml-1.1"}),
        (["--select", "yaml-1.1, unused-definition"], {"yaml-1.1", "unused-definition"}),
        (["--ignore", "yaml-1.1"], {"unused-definition"}),
        (["--ignore", "yaml-1.1,unused-definition", "-W", "error"], set()),
    ],
)
def test_warnings_are_chosen_by_their_codes(folder: Path, arguments: list[str], codes: set[str]) -> None:
    (folder / "two.yaml").write_text(TWO)
    done = check("two.yaml", "--message-format", "json", *arguments)
    assert done.exit_code == 0
    assert {finding["code"] for finding in json.loads(done.stdout)["diagnostics"]} == codes


def test_rules_that_are_off_by_default_are_turned_on_by_their_codes(folder: Path) -> None:
    (folder / "odd.yaml").write_text(
        "spec: 1\nname: odd\ninput: 3x3x3\nparams: {n: 1}\nstem: {c: {op: conv2d, out_channels: 12, kernel_size: 3}, r: relu,"
        " d: {op: conv2d, out_channels: 8, kernel_size: 1}}\n"
    )

    def found(*arguments: str) -> list[str]:
        done = check("odd.yaml", "--message-format", "json", *arguments)
        return sorted(finding["code"] for finding in json.loads(done.stdout)["diagnostics"])

    assert found() == ["unused-definition"]
    assert found("--select", "width-not-multiple-of-8") == ["width-not-multiple-of-8"]
    assert found("--select", "ALL") == ["unused-definition", "width-not-multiple-of-8"]
    assert found("--select", "ALL", "--ignore", "unused-definition") == ["width-not-multiple-of-8"]
    assert check("odd.yaml", "--select", "ALL,nonsense").exit_code == 2


@pytest.mark.parametrize("option", ["--select", "--ignore"])
def test_codes_that_no_finding_has_are_refused(folder: Path, option: str) -> None:
    done = check("two.yaml", option, "yaml-1.1,unused-definitions")
    assert done.exit_code == 2
    assert "did you mean `unused-definition`?" in done.stderr


def test_a_comment_with_a_code_that_no_finding_has_is_told(folder: Path) -> None:
    (folder / "two.yaml").write_text(WARNS.replace("name: no", "name: no  # resnet-spec: ignore[yaml-1.1, yaml_1.1]"))
    done = check("two.yaml", "--message-format", "concise")
    assert done.stdout.splitlines() == ["two.yaml:4:43: warning[unknown-code]: there is no code `yaml_1.1`"]


def test_errors_are_shown_whatever_is_chosen(folder: Path) -> None:
    assert "kernel-too-large" in check("bad.yaml", "--select", "yaml-1.1", "--ignore", "kernel-too-large").stdout


def test_a_comment_takes_a_warning_of_its_line_back(folder: Path) -> None:
    (folder / "two.yaml").write_text(TWO.replace("name: no", "name: no  # resnet-spec: ignore[yaml-1.1]"))
    done = check("two.yaml", "--message-format", "concise")
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == ["two.yaml:5:10"]


def test_quiet_prints_findings_only(folder: Path) -> None:
    assert check("good.yaml", "-q").stdout == ""
    assert "kernel-too-large" in check("bad.yaml", "-q").stdout
    assert "checked" not in check("bad.yaml", "-q").stdout


@pytest.mark.parametrize(
    ("text", "code"), [(GOOD, 0), (BAD, 1), ("", 1), (b"\xff\xfe", 1), (b"\xef\xbb\xbf" + GOOD.encode(), 0)]
)
def test_a_dash_reads_standard_input(text: str | bytes, code: int) -> None:
    done = check("-", input=text)
    assert done.exit_code == code
    assert ("<stdin>:" in done.output) is (code == 1)


def test_standard_input_may_extend_shipped_specs_and_files_below_a_root_that_is_named(folder: Path) -> None:
    spec = "spec: 1\nextends: good.yaml\nstem: {c: {bias: true}}\n"
    done = check("-", input=spec)
    assert done.exit_code == 1
    assert "error[extends-not-allowed]: there is no shipped spec `good.yaml`" in done.output
    assert "= help: write `--spec-root .` to allow the files of the working directory" in done.output
    assert "56 parameters" in check("-", "--spec-root", ".", input=spec).output
    assert "11,689,512 parameters" in check("-", input="spec: 1\nextends: resnet18\n").output


@pytest.mark.parametrize("there", [True, False])
def test_standard_input_cannot_find_out_which_files_there_are(folder: Path, there: bool) -> None:
    (folder / "secret.yaml").write_text("password: 1\n" if there else GOOD)
    if not there:
        (folder / "secret.yaml").unlink()
    done = check("-", input="spec: 1\nextends: secret.yaml\n")
    assert "there is no shipped spec `secret.yaml`, and what is read from a pipe may not extend files" in done.output
    assert "password" not in done.output


def test_set_changes_the_spec(folder: Path) -> None:
    assert "108 parameters" in check("good.yaml", "--set", "stem.c.out_channels=4").output
    assert "162 parameters" in check("good.yaml", "--set", "stem.c.out_channels=4", "--set", "stem.c.out_channels=6").output


def test_under_set_expect_is_silent_and_the_output_says_so(folder: Path) -> None:
    (folder / "promise.yaml").write_text(GOOD + "expect: {params: 54}\n")
    assert "expect" not in check("promise.yaml").output
    done = check("promise.yaml", "--set", "stem.c.bias=true")
    assert done.exit_code == 0
    assert "56 parameters" in done.output
    assert "`expect` is not checked with --set" in done.output


def test_a_broken_promise_is_a_finding(folder: Path) -> None:
    (folder / "promise.yaml").write_text(GOOD + "expect: {params: 55, macs: 1944, output: [2, 6, 6]}\n")
    done = check("promise.yaml", "--message-format", "concise")
    assert done.stdout == "promise.yaml:4:18: error[expect-broken]: `expect` declares 55 params, but the network has 54\n"


def test_spec_root_lets_extends_go_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x.yaml").write_text("spec: 1\nextends: ../good.yaml\n")
    assert check("sub/x.yaml").exit_code == 0
    monkeypatch.chdir(folder / "sub")
    assert "extends-outside" in check("x.yaml").stdout
    assert check("x.yaml", "--spec-root", "..").exit_code == 0


def test_a_path_wins_over_a_name(folder: Path) -> None:
    (folder / "resnet18").write_text(GOOD)
    assert check("resnet18").output.startswith("resnet18: ok, 3x8x8")


def test_places_in_shipped_specs_do_not_depend_on_where_they_are_installed(shell: Shell) -> None:
    done = shell("check", "resnet18", "--set", "stages.layer1.width=0-1")
    assert b" --> --set:1:21" in done.stdout
    assert b" at --set:1 overrides `64` of specs/resnet34.yaml:" in done.stdout
    done = shell("summary", "resnet18", "--input", "4x224x224")
    assert b" --> specs/resnet34.yaml:" in done.stderr


@pytest.mark.parametrize(
    ("spec", "change", "mend"),
    [
        ("cifar_resnet20", "n=9", "did you mean `params.n=9`?"),
        ("resnet18", "depth=3", "did you mean `stages.layer1.depth=3`?"),
        ("resnet18", "layer1.depth=3", "did you mean `stages.layer1.depth=3`?"),
        ("resnet18", "nonsense=3", "known here"),
    ],
)
def test_set_of_a_key_that_stands_further_down_is_told_where(spec: str, change: str, mend: str) -> None:
    done = check(spec, "--set", change)
    assert done.exit_code == 1
    assert f"= help: {mend}" in done.stdout


def test_a_shipped_recipe_where_a_spec_belongs_is_told() -> None:
    done = check("cifar-fast")
    assert done.exit_code == 2
    assert "use it with `train SPEC --recipe cifar-fast`" in done.stdout


@pytest.mark.torch
def test_a_file_for_a_folder_that_is_not_there_is_told(shell: Shell) -> None:
    done = shell("build", "cifar_resnet20", "-o", "none/x.safetensors")
    assert done.returncode == 2
    assert done.stderr.decode().strip() == "error: there is no folder none; create it first"


MANY = "spec: 1\ninput: 3x8x8\nstem: {r: relu}\nparams:\n" + "".join(f"  a{n}: b{n}\n" for n in range(70))
MANY_WARNINGS = "".join(f"  w{n}: 010\n" for n in range(60))


def test_of_many_findings_the_first_are_shown(folder: Path) -> None:
    (folder / "many.yaml").write_text(MANY)
    done = check("many.yaml")
    assert done.exit_code == 1
    assert done.stdout.count("error[") == 50
    assert "`b49` is not defined here" in done.stdout
    *_, more, empty, counts = done.stdout.splitlines()
    assert more == "and 20 errors more; `--all-findings` shows them"
    assert empty == ""
    assert counts == "1 spec checked, 0 ok: 70 errors, 0 warnings"


def test_errors_are_shown_before_warnings(folder: Path) -> None:
    (folder / "many.yaml").write_text(MANY.replace("params:\n", f"params:\n{MANY_WARNINGS}"))
    shown = check("many.yaml").stdout
    assert (shown.count("error["), shown.count("warning[")) == (50, 0)
    assert "and 20 errors, 60 warnings more; `--all-findings` shows them" in shown


def test_all_findings_are_shown_when_asked(folder: Path) -> None:
    (folder / "many.yaml").write_text(MANY)
    shown = check("many.yaml", "--all-findings").stdout
    assert shown.count("error[") == 70
    assert "more;" not in shown


@pytest.mark.parametrize(
    ("form", "pattern"), [("json", '"code"'), ("sarif", '"ruleId"'), ("github", "::error"), ("concise", "error[")]
)
def test_what_programs_read_is_complete(folder: Path, form: str, pattern: str) -> None:
    (folder / "many.yaml").write_text(MANY)
    assert check("many.yaml", "--message-format", form).stdout.count(pattern) == 70


def test_other_commands_say_how_all_can_be_seen(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.write("many.yaml", MANY)
    done = shell.here("summary", "many.yaml")
    assert "and 20 errors more; `--all-findings` shows them" in done.stderr.decode()
    with pytest.raises(SpecError) as caught:
        analyze(MANY)
    show_error(caught.value)
    assert "and 20 errors more; `resnet-spec check --all-findings` shows them" in capsys.readouterr().err
