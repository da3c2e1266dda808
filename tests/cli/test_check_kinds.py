"""`check` of recipes, of patches on their own, and of patches laid on a network (`--on`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.language.library import shipped_mixins, shipped_names, shipped_root
from tests.networks import different_networks

SPEC = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}\n"
RECIPE = "recipe: 1\nepochs: 5\nbatch_size: 32\noptimizer: {op: SGD, lr: 0.1}\n"


def check(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(group, ["check", *arguments], input=input)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


# --- recipes ---------------------------------------------------------------------------------------------------------------


def test_a_recipe_is_checked(folder: Path) -> None:
    write(folder, "r.yaml", RECIPE)
    assert check("r.yaml").stdout == "r.yaml: ok, 5 epochs, SGD, batches of 32\n"
    (file,) = json.loads(check("r.yaml", "--message-format", "json").stdout)["files"]
    assert (file["kind"], file["result"]) == ("recipe", "ok")
    assert file["recipe"] == {"name": "r", "epochs": 5, "iterations": None, "batch_size": 32, "optimizer": "SGD"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (RECIPE + "epocs: 3\n", "unknown-field"),
        (RECIPE + "iterations: 100\n", "recipe-length"),
        (RECIPE + "schedule: [\n", "yaml-syntax"),
        ("recipe: 2\n", "unknown-version"),
        ("recipe: 1\nextends: nowhere\n", "missing-file"),
    ],
)
def test_mistakes_in_a_recipe_are_findings(folder: Path, text: str, code: str) -> None:
    write(folder, "r.yaml", text)
    done = check("r.yaml", "--message-format", "json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert [finding["code"] for finding in document["diagnostics"]] == [code]
    assert document["files"][0]["kind"] == "recipe"


def test_a_folder_of_both_is_counted_in_files(folder: Path) -> None:
    write(folder, "r.yaml", RECIPE)
    write(folder, "s.yaml", SPEC)
    assert check(".").stdout.splitlines()[-1] == "2 files checked, 2 ok: 0 errors, 0 warnings"


def test_the_shipped_recipes_are_good() -> None:
    done = check(str(shipped_root("recipe")))
    assert done.exit_code == 0, done.output
    assert f"{len(shipped_names('recipe'))} files checked, {len(shipped_names('recipe'))} ok: 0 errors" in done.output


def test_a_recipe_from_standard_input_reads_no_file(folder: Path) -> None:
    write(folder, "base.yaml", RECIPE)
    assert "5 epochs" in check("-", input=RECIPE).output
    done = check("-", input="recipe: 1\nextends: base.yaml\n")
    assert (done.exit_code, "extends-not-allowed" in done.output) == (1, True)


# --- patches on their own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_mixins())
def test_the_shipped_mixins_are_patches(name: str) -> None:
    done = check(name, "--message-format", "json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["diagnostics"] == []
    assert (document["files"][0]["kind"], document["files"][0]["patch"]) == ("patch", {"needs": []})


@pytest.mark.parametrize("name", different_networks())
def test_no_shipped_network_is_one(name: str) -> None:
    assert json.loads(check(name, "--message-format", "json").stdout)["files"][0]["kind"] == "spec"


@pytest.mark.parametrize(
    "text",
    [
        "stem: {maxpool: null}",
        "stem: {conv1: {stride: 1}}",
        "head: {drop: {op: dropout, p: 0.2, insert_before: fc}}",
        "stages: {layer1: {depth: 3}}",
        "norm: {op: group_norm, num_groups: 8}",
        "act: silu",
        "params: {n: 9}",
        "block: bottleneck",
        "blocks: {basic: {extends: basic, branch: {drop: {op: drop_path, p: 0.1}}}}",
        "stem: {conv1: {op: conv2d, out_channels: 8, kernel_size: 3}}\nblocks: {basic: {extends: basic, after: {relu: silu}}}",
        "blocks: {mine: {branch: {c: {bias: true}}}}",
        "blocks: {mine: null}",
    ],
)
def test_what_changes_a_network_is_a_patch(folder: Path, text: str) -> None:
    write(folder, "p.yaml", f"spec: 1\n{text}\n")
    done = check("p.yaml")
    assert done.exit_code == 0, done.output
    assert "p.yaml: ok, a patch" in done.output
    assert "`--on BASE` checks it on a network" in done.output


@pytest.mark.parametrize(
    "text",
    [
        "stem: {relu: relu}",
        "name: x",
        "stem: {c: {op: conv2d, out_channels: 4, kernel_size: 3}}\nhead: {f: flatten}",
        "stem: {r: relu}\nblock: basic\nstages: {a: {width: 8, depth: 1}}\nhead: {f: flatten}",
        "stem: {r: relu}\nstages: {a: {width: 8, depth: 1}}\nhead: {f: flatten}",
        "blocks: {b: {branch: {r: relu}}}\nstages: {a: {block: b}}",
        "extend: resnet18\nnorm: identity",
        "inpt: 3x8x8\nnorm: identity",
        "norm: [",
        "norm: identity\nnorm: identity",
    ],
)
def test_a_network_that_lacks_its_input_is_not_a_patch(folder: Path, text: str) -> None:
    write(folder, "p.yaml", f"spec: 1\n{text}\n")
    done = check("p.yaml", "--message-format", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["files"][0]["kind"] == "spec"


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        ("stem: {conv1: {stride: -1}, c: {op: conv2d, kernel_sise: 3, out_channels: 3}}", "unknown-field", "kernel_size"),
        ("stem: {a: null, b: {op: batchnorm}}", "unknown-operation", "batch_norm"),
        ("stem: {a: null, b: batch_nrom}", "unknown-operation", "batch_norm"),
        ("block: bottlenek", "unknown-block", "bottleneck"),
        ("stages: {layer1: {block: {op: bottlenek}}, layer2: {depth: 3}}", "unknown-block", "bottleneck"),
        ("blocks: {basic: {extends: basic, branch: {conv9: {bias: true}}}}", "nothing-to-patch", "conv2"),
        ("blocks: {basic: {extends: basic, branch: {conv9: null}}}", "nothing-to-delete", "conv2"),
        ("blocks: {mine: {extends: bottlenek}}", "unknown-block", "bottleneck"),
        (
            "blocks: {mine: {args: [width], branch: {c: {op: conv2d, out_channels: widht, kernel_size: 1}}}}",
            "unknown-name",
            "width",
        ),
        ("blocks: {mine: {branch: {c: relu, d: {op: add, from: [c, e]}}}}", "unknown-name", ""),
        ("blocks: {mine: {branch: {c: {op: projection, widht: 3}}}}", "unknown-field", "width"),
        ("norm: {op: group_norm, groups: 3}", "unknown-field", "num_groups"),
        ("act: silu\nexpect: {params: {}}", "missing-field", ""),
        ("act: silu\nnonsense: 1", "unknown-field", ""),
    ],
)
def test_the_form_and_the_names_of_a_patch_are_checked(folder: Path, text: str, code: str, help: str) -> None:
    write(folder, "p.yaml", f"spec: 1\n{text}\n")
    done = check("p.yaml", "--message-format", "json")
    assert done.exit_code == 1, done.output
    document = json.loads(done.stdout)
    assert document["files"][0]["kind"] == "patch"
    found = [finding for finding in document["diagnostics"] if finding["code"] == code]
    assert found, document["diagnostics"]
    assert help in found[0]["help"]


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("stem: {a: null, b: {op: quuxify}}", ["quuxify"]),
        ("blocks: {basic: {extends: basic, branch: {d: {op: drop_path, p: rate * 0.1}}}}", ["rate"]),
        ("blocks: {mine: {branch: {c: {bias: true}}}, other: null}", ["mine", "other"]),
        ("blocks: {mine: {extends: theirs, branch: {c: {bias: true}}}}", ["theirs"]),
        ("head: {fc: null, f: {op: linear, out_features: classes}}", []),
    ],
)
def test_what_only_the_base_can_define_is_named(folder: Path, text: str, needs: list[str]) -> None:
    write(folder, "p.yaml", f"spec: 1\n{text}\n")
    done = check("p.yaml", "--message-format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["files"][0]["patch"] == {"needs": needs}
    assert all(f"`{name}`" in check("p.yaml").output for name in needs)


def test_the_warnings_of_a_patch_are_shown(folder: Path) -> None:
    write(folder, "p.yaml", "spec: 1\nabout: no\nact: silu\n")
    done = check("p.yaml")
    assert (done.exit_code, "warning[yaml-1.1]" in done.output) == (0, True)
    write(folder, "p.yaml", "spec: 1\nabout: no  # resnet-spec: ignore[yaml-1.1]\nact: silu\n")
    assert "warning" not in check("p.yaml").output.splitlines()[0]


def test_a_network_in_braces_is_none(folder: Path) -> None:
    write(folder, "x.yaml", "{spec: 1, extends: base.yaml, act: silu}\n")
    write(
        folder, "base.yaml", "{spec: 1, input: 3x8x8, stem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}}\n"
    )
    assert "54 parameters" in check("x.yaml").output
    assert "54 parameters" in check("base.yaml").output


# --- on a base -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "base"), [("mixins/d", "resnet50"), ("mixins/se", "resnet18"), ("mixins/blur", "resnet34")])
def test_a_patch_on_a_base_is_what_a_spec_that_extends_both_is(folder: Path, name: str, base: str) -> None:
    done = check(name, "--on", base, "--message-format", "json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    both = resnet_spec.analyze(f"spec: 1\nextends: [{base}, {name}]\n")
    assert document["files"][0]["network"]["params"] == both.total.params
    assert document["files"][0]["network"]["macs"] == both.total.macs
    assert document["diagnostics"] == []


def test_a_base_may_be_a_file_with_its_own_files(folder: Path) -> None:
    (folder / "nets").mkdir()
    write(folder, "nets/base.yaml", "spec: 1\nextends: root.yaml\nstem: {c: {out_channels: 4}}\n")
    write(folder, "nets/root.yaml", SPEC)
    write(folder, "p.yaml", "spec: 1\nstem: {c: {bias: true}}\n")
    assert "112 parameters" in check("p.yaml", "--on", "nets/base.yaml").output
    assert "168 parameters" in check("p.yaml", "--on", "nets/base.yaml", "--set", "stem.c.out_channels=6").output


def test_a_file_that_base_and_patch_extend_is_merged_once(folder: Path) -> None:
    write(folder, "mixin.yaml", "spec: 1\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3}}\n")
    write(folder, "base.yaml", SPEC + "extends: mixin.yaml\n")
    write(folder, "p.yaml", "spec: 1\nextends: mixin.yaml\nact: silu\n")
    assert "54 parameters" in check("p.yaml", "--on", "base.yaml").output


def test_mistakes_are_at_the_patch(folder: Path) -> None:
    write(folder, "p.yaml", "spec: 1\nstem: {conv9: {bias: true}}\n")
    done = check("p.yaml", "--on", "resnet18", "--message-format", "concise")
    assert done.exit_code == 1
    assert done.stdout.startswith("p.yaml:2:8: error[nothing-to-patch]")


def test_a_finding_in_a_shipped_base_is_at_the_option_that_names_it(folder: Path) -> None:
    write(folder, "p.yaml", "spec: 1\nclasses: null\n")
    done = check("p.yaml", "--on", "resnet18")
    assert done.exit_code == 1
    assert " --> --on:1:1\n" in done.output
    assert " ::: specs/resnet34.yaml:" in done.output


def test_the_expect_of_the_base_does_not_apply(folder: Path) -> None:
    """As with `extends`: the patch makes another network of it."""
    write(folder, "base.yaml", SPEC + "expect: {params: 54}\n")
    write(folder, "p.yaml", "spec: 1\nstem: {c: {bias: true}}\nexpect: {params: 56}\n")
    assert "p.yaml: ok" in check("p.yaml", "--on", "base.yaml").output


@pytest.mark.parametrize("base", ["nothing", "r.yaml", "-", "broken.yaml"])
def test_a_base_that_is_none_is_an_error(folder: Path, base: str) -> None:
    write(folder, "p.yaml", "spec: 1\nact: silu\n")
    write(folder, "r.yaml", RECIPE)
    write(folder, "broken.yaml", "spec: [\n")
    done = check("p.yaml", "--on", base)
    assert done.exit_code == (1 if base in ("r.yaml", "broken.yaml") else 2)
    assert ": ok" not in done.output
