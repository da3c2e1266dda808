"""Commands on a machine that lacks a package: which of them still work, and what the others print before they do anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_spec._system.packages import NETWORKS, TRAINING

# A process in which some modules cannot be imported, and have no metadata.
BLOCKED = """
import importlib.metadata, sys
blocked = set(sys.argv.pop(1).split(","))
names = {"PIL": "pillow"}
class Finder(importlib.metadata.MetadataPathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None
    @classmethod
    def find_distributions(cls, context=importlib.metadata.DistributionFinder.Context()):
        found = list(importlib.metadata.MetadataPathFinder.find_distributions(context))
        return [] if context.name in {names.get(name, name) for name in blocked} else found
def hide(find_spec):
    return lambda name, path=None, target=None: None if name.partition(".")[0] in blocked else find_spec(name, path, target)
sys.meta_path[:] = [Finder, *(type("Plain", (), {"find_spec": staticmethod(hide(each.find_spec))}) for each in sys.meta_path)]
"""
# One process starts all others as its copies, after the imports that every command has in common, for which all packages are
# blocked. Each blocks its own instead, and runs a command (or a program) with its output in files.
COPIES = """
import json, os, traceback
from resnet_spec.cli import group, main
for name in group.list_commands(None):
    group.get_command(None, name)
assert not blocked & {name.partition(".")[0] for name in sys.modules}
for line in sys.stdin:
    folder, packages, arguments, program = json.loads(line)
    copy = os.fork()
    if copy == 0:
        os.chdir(folder)
        os.environ["PATH"] = folder  # without Graphviz's own program
        for stream, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(os.path.join(folder, f".{stream}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = 1
        try:
            sys.argv[:] = ["resnet-spec", *arguments]
            blocked.clear()
            blocked.update(packages.split(","))
            exec(program or "main()", {"main": main})
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
"""
ROOT = Path(__file__).parents[2]
RUN = Path(__file__).parents[1] / "compatibility" / "runs" / "finished"
ONNX = ("onnx", "onnxscript", "onnxruntime")
OTHERS = ("torchvision", "graphviz", "pygraphviz", "jsonschema", "simplejpeg", *ONNX)
ALL = (*TRAINING, *OTHERS)

SYNTHETIC = "synthetic:train=40,validation=20,test=20"
TRAIN = ["train", "cifar_resnet20", "--data", SYNTHETIC, "--epochs", "1", "--batch-size", "20", "--out", "new"]
AUGMENT = "augment.random_rotation=10"
# Commands, and the packages without which each exits with 2.
NEEDS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "check": (["check", "resnet18"], ()),
    "check a wrong one": (["check", "wrong.yaml"], ("jsonschema",)),
    "check a recipe": (["check", "recipe.yaml"], ()),
    "check a wrong recipe": (["check", "wrong_recipe.yaml"], ("jsonschema",)),
    "summary --resolved": (["summary", "resnet50", "--resolved"], ()),
    "new --from": (["new", "--from", "resnet50", "changed.yaml"], ()),
    "summary": (["summary", "resnet50", "--memory", "--field"], ()),
    "list": (["list", "--operations"], ()),
    "schema": (["schema"], ()),
    "explain": (["explain", "wrong-type"], ()),
    "new": (["new", "new.yaml"], ()),
    "draw svg": (["draw", "resnet18", "-o", "new.svg"], ("graphviz", "pygraphviz")),
    "draw dot": (["draw", "resnet18", "-o", "new.dot"], ("graphviz",)),
    "build --dump-ir": (["build", "resnet18", "--dump-ir"], ()),
    "build": (["build", "cifar_resnet20"], ("torch", "numpy")),
    "build -o": (["build", "cifar_resnet20", "-o", "new.safetensors"], NETWORKS),
    "export safetensors": (["export", "cifar_resnet20", "-o", "new.safetensors"], NETWORKS),
    "export onnx": (["export", "cifar_resnet20", "-o", "new.onnx"], (*NETWORKS, *ONNX)),
    "export --list": (["export", "--list"], ()),
    "train": (TRAIN, TRAINING),
    "train, augmented by torchvision": ([*TRAIN, "--set-recipe", AUGMENT, "--dry-run"], (*TRAINING, "torchvision")),
    "train a wrong recipe": ([*TRAIN, "--set-recipe", "seed=text"], (*TRAINING, "jsonschema")),
    "train --resume": (["train", "--resume", "run"], TRAINING),
    "eval": (["eval", "run"], NETWORKS),
    "predict": (["predict", "run", "image.png"], NETWORKS),
    "stats": (["stats", "synthetic:train=40"], ("torch", "numpy", "PIL")),
}


@dataclass(frozen=True, slots=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    (folder / "wrong.yaml").write_text("spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, outchannels: 3}}\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text("recipe: 1\nextends: cifar-fast\n", encoding="utf-8")
    (folder / "wrong_recipe.yaml").write_text("recipe: 1\nextends: cifar-fast\nepocs: 3\n", encoding="utf-8")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / "image.png")
    shutil.copytree(RUN, folder / "run")
    return folder


@pytest.fixture(scope="module", autouse=True)
def copies() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", BLOCKED + COPIES, ",".join(ALL)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run(copies: subprocess.Popen[str]) -> Run:
    def run(folder: Path, blocked: str, arguments: list[str], program: str = "") -> Ran:
        assert copies.stdin is not None
        assert copies.stdout is not None
        copies.stdin.write(json.dumps([str(folder), blocked, arguments, program]) + "\n")
        copies.stdin.flush()
        code = int(copies.stdout.readline())
        return Ran(code, *((folder / f".{stream}").read_text(encoding="utf-8") for stream in ("stdout", "stderr")))

    return run


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name[0] != "."}


@pytest.mark.parametrize(("name", "package"), [(name, package) for name, (_, needs) in NEEDS.items() for package in needs])
def test_a_command_exits_with_2_and_prints_how_to_install_what_it_needs(
    name: str, package: str, folder: Path, run: Run
) -> None:
    before = visible(folder)
    ran = run(folder, package, NEEDS[name][0])
    assert ran.returncode == 2, ran.stderr
    printed = ran.stdout + ran.stderr  # the findings of `check` are its output
    assert "error[missing-package]: " in printed
    assert f"`pip install {'pillow' if package == 'PIL' else package}`" in printed
    assert ("or install resnet-spec with its extra `onnx`" in printed) == (package in ONNX)
    assert "Traceback" not in printed
    assert "epoch" not in ran.stdout  # nothing was trained
    instead = {"new.dot"} if name == "draw svg" and package == "pygraphviz" else set()
    assert visible(folder) - before == instead
    for made in instead:
        (folder / made).unlink()


def test_watching_needs_a_package_and_says_so_before_it_checks(folder: Path, run: Run) -> None:
    ran = run(folder, "watchfiles", ["check", "wrong.yaml", "--watch"])
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "error[missing-package]: --watch needs the package watchfiles, which is not installed\n" in ran.stderr
    assert "= help: `pip install watchfiles`" in ran.stderr


@pytest.mark.parametrize("name", [name for name, (_, needs) in NEEDS.items() if len(needs) < 3])
def test_a_command_works_without_all_the_packages_that_it_does_not_need(name: str, folder: Path, run: Run) -> None:
    """All at once: none of them takes the place of another."""
    arguments, needs = NEEDS[name]
    ran = run(folder, ",".join(package for package in ALL if package not in needs), arguments)
    assert ran.returncode == (1 if "wrong" in name else 0), ran.stderr
    assert "Traceback" not in ran.stderr
    for made in folder.glob("new*"):
        made.unlink()


@pytest.mark.training
@pytest.mark.parametrize("name", ["train", "eval", "predict", "stats"])
def test_a_command_with_torch_works_without_the_packages_that_it_does_not_need(name: str, tmp_path: Path, run: Run) -> None:
    """`train` without metadata of torchvision, and without a picture of the network."""
    os.symlink(RUN, tmp_path / "run")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "image.png")
    arguments, needs = NEEDS[name]
    ran = run(tmp_path, ",".join(package for package in ALL if package not in needs), arguments)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    if name == "train":
        assert '"torchvision": "not installed"' in (tmp_path / "new" / "environment.json").read_text(encoding="utf-8")
        assert "diagram of the network is left out" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
        assert "which is not installed" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")


def test_several_missing_packages_are_one_finding(folder: Path, run: Run) -> None:
    ran = run(folder, ",".join(ALL), TRAIN)
    assert ran.returncode == 2
    assert "`pip install torch numpy pillow safetensors matplotlib`" in ran.stderr
    assert ran.stderr.count("error[") == 1


def test_a_package_that_is_not_checked_before_is_reported_too(folder: Path, run: Run) -> None:
    """Such as one that torch needs, and that is broken."""
    ran = run(folder, "typing_extensions", ["build", "cifar_resnet20"])
    assert ran.returncode == 2
    assert "`pip install typing_extensions`" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_package_is_imported_without_any_of_them(folder: Path, run: Run) -> None:
    program = "import resnet_spec\nassert resnet_spec.analyze('resnet18').output == (1000,)\n"
    for call in (
        "build('resnet18')",
        "draw('resnet18')",
        "train('resnet18')",
        "resume('x')",
        "evaluate('x')",
        "predict('x', 'y')",
        "export('resnet18', 'x.onnx')",
    ):
        program += f"try:\n    resnet_spec.{call}\nexcept resnet_spec.ArgumentError as error:\n    print(error)\n"
    ran = run(folder, ",".join(ALL), [], program)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("[missing-package]") == 7
