"""Diagrams whose layout takes long: budgets, limits of time and memory, signals, and what becomes of the child process."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec import api, compiler
from resnet_spec.outputs import render_dot as module
from resnet_spec.outputs.diagram import Picture, Style
from resnet_spec.outputs.render_dot import is_small, render_picture
from tests.networks import different_networks

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a process with its parent on Linux only")


def tangle(operations: int, joined: int) -> str:
    """A block of operations in which every second one adds `joined` random earlier ones, so that the arrows cross."""
    drawn = random.Random(0)
    branch = ["o0: {op: conv2d, out_channels: 4, kernel_size: 1}"]
    for number in range(1, operations):
        some = [f"o{each}" for each in drawn.sample(range(number), min(joined, number))]
        adds = number % 2 == 0 and len(some) > 1
        branch.append(
            f"o{number}: {{op: add, from: [{', '.join(some)}]}}" if adds else f"o{number}: {{op: tanh, from: {some[0]}}}"
        )
    lines = "\n      ".join(branch)
    return f"""spec: 1
name: tangle
input: 3x32x32
classes: 5
blocks:
  tangle:
    branch:
      {lines}
stem: {{s: {{op: conv2d, out_channels: 4, kernel_size: 1}}}}
stages: {{one: tangle}}
head: {{pool: {{op: adaptive_avg_pool2d, output_size: 1}}, flat: flatten, fc: {{op: linear, out_features: classes}}}}
"""


def picture_of(spec: str, style: Style | None = None) -> Picture:
    return api.draw_picture(compiler.sketch(compiler.find(spec)), style or Style())


def test_the_diagrams_of_shipped_specs_are_small() -> None:
    for name in different_networks():
        assert is_small(picture_of(name)), name


def test_an_open_diagram_of_the_largest_imagenet_resnet_is_small() -> None:
    assert is_small(picture_of("resnet152", Style(detail="op", expand=True)))
    assert not is_small(picture_of("cifar_resnet1202", Style(detail="op", expand=True)))


def test_crossings_grow_with_the_arrows_that_cross() -> None:
    chain, few, many = (picture_of(tangle(60, joined)) for joined in (1, 2, 12))
    assert chain.crossings < few.crossings < many.crossings
    assert chain.boxes == few.boxes == many.boxes
    assert many.arrows == many.dot.count(" -> ")


@pytest.mark.subprocess
def test_a_large_diagram_is_the_same_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL_CROSSINGS", 10**9)
    here = resnet_spec.draw(tangle(60, 4))
    monkeypatch.setattr(module, "_SMALL_CROSSINGS", 0)
    assert resnet_spec.draw(tangle(60, 4)) == here


@pytest.mark.subprocess
@pytest.mark.parametrize("detail", ["stage", "op"])
def test_a_layout_that_takes_too_long_is_an_error_that_names_what_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, detail: str
) -> None:
    monkeypatch.setattr(module, "CPU_SECONDS", 1)
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.draw(tangle(800, 8), tmp_path / "x.svg", detail=detail)  # type: ignore[arg-type]
    (finding,) = caught.value.diagnostics
    assert finding.code == "picture-not-rendered"
    assert finding.message.endswith("as svg takes more than 1 seconds")
    assert finding.help == "draw it at `--detail block`; or as .dot"
    assert list(tmp_path.iterdir()) == []
    resnet_spec.draw(tangle(800, 8), tmp_path / "x.svg", detail="block")
    resnet_spec.draw(tangle(800, 8), tmp_path / "x.dot")


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform == "win32", reason="memory is limited with the resource module")
def test_a_layout_that_takes_too_much_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEMORY", 150 * 2**20)
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.draw(tangle(800, 8))
    (finding,) = caught.value.diagnostics
    assert finding.code == "picture-not-rendered"
    assert "failed: " in finding.message


def test_more_arrows_than_a_format_can_show_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = picture_of(tangle(100, 30))
    assert 1_000 < picture.arrows < 2_000
    with pytest.raises(resnet_spec.SpecError) as caught:
        render_picture(replace(picture, arrows=2_001), "png")
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message) == ("too-many-boxes", "2,001 arrows are more than a png can show")
    assert finding.help == "draw it as .svg"
    with pytest.raises(resnet_spec.SpecError, match="10,001 arrows"):
        render_picture(replace(picture, arrows=10_001), "svg")


def test_without_pygraphviz_the_program_runs_within_the_same_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program in the place of Graphviz's `dot`, which is not installed everywhere."""
    program = tmp_path / "dot"
    program.write_text(f"#!{sys.executable} -SE\nimport sys\nprint(sys.argv[1], len(sys.stdin.read()))\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    picture = picture_of("resnet18")
    for crossings in (0, 10**9):
        assert render_picture(replace(picture, crossings=crossings), "svg").split() == [b"-Tsvg", b"%d" % len(picture.dot)]
    program.write_text(f"#!{sys.executable} -SE\nwhile True: pass\n", encoding="utf-8")
    monkeypatch.setattr(module, "CPU_SECONDS", 1)
    with pytest.raises(resnet_spec.SpecError, match="takes more than 1 seconds"):
        render_picture(replace(picture, crossings=10**9), "svg")


NEWER = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><element-of-the-future/><cachedir>{folder}</cachedir></fontconfig>
"""
RENDER = "from pygraphviz import AGraph; AGraph(string='digraph {a}').draw(format='svg', prog='dot')"


@pytest.mark.subprocess
@pytest.mark.parametrize("form", ["svg", "png"])
def test_warnings_about_newer_files_of_fonts_are_not_shown(form: str, tmp_path: Path) -> None:
    path = tmp_path / "fonts.conf"
    path.write_text(NEWER.format(folder=tmp_path), encoding="utf-8")
    environment = {**os.environ, "FONTCONFIG_FILE": str(path), "PYTHONUNBUFFERED": "1"}
    output = tmp_path / f"x.{form}"

    def errors(*command: str) -> str:
        return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=True).stderr

    assert "Fontconfig warning: " in errors("-c", RENDER)  # what pygraphviz alone writes
    shown = errors("-m", "resnet_spec", "draw", "resnet18", "-o", str(output))
    assert "Fontconfig warning: " not in shown
    assert shown.endswith(f"wrote {output}: 30 boxes\n")


def children(parent: int) -> list[int]:
    """The processes that a process has started, on Linux."""
    return [int(each) for each in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_for(what: str, condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < end, f"{what} takes more than {seconds} seconds"
        time.sleep(0.02)


@on_linux
@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_ends_a_drawing_and_its_child(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(tangle(800, 8), encoding="utf-8")
    command = [sys.executable, "-m", "resnet_spec", "draw", "spec.yaml", "-o", "x.svg"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_for("the start of the child", lambda: children(process.pid))
        (child,) = children(process.pid)
        wait_for(
            "the layout", lambda: "pygraphviz" in Path(f"/proc/{child}/maps").read_text(encoding="utf-8", errors="replace")
        )
        start = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - start < 20
        assert process.returncode == (130 if number == signal.SIGINT else -number)
        wait_for("the end of the child", lambda: not is_running(child), 20)
    assert "Traceback" not in errors
    assert not (tmp_path / "x.svg").exists()


TRAIN = """
import sys
from resnet_spec.outputs import render_dot
from resnet_spec.cli import main
render_dot.CPU_SECONDS = {seconds}
main()
"""


def train(folder: Path, seconds: int) -> list[str]:
    (folder / "spec.yaml").write_text(tangle(800, 8), encoding="utf-8")
    options = ["--data", "synthetic:train=20,validation=10,test=10", "--epochs", "1", "--batch-size", "10", "--out", "run"]
    return [sys.executable, "-c", TRAIN.format(seconds=seconds), "train", "spec.yaml", *options]


@pytest.mark.training
@pytest.mark.subprocess
def test_a_run_does_not_lose_its_report_to_a_picture(tmp_path: Path) -> None:
    ran = subprocess.run(train(tmp_path, 1), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    why = "the diagram of the network is left out: rendering 807 boxes and "
    assert why in ran.stdout + ran.stderr
    assert why in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "run" / "diagram.svg").exists()
    assert (tmp_path / "run" / "curves.svg").exists()


@on_linux
@pytest.mark.drill
@pytest.mark.training
@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_during_the_picture_of_a_run_ends_the_picture_and_not_the_report(
    number: signal.Signals, tmp_path: Path
) -> None:
    command = train(tmp_path, 1000)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_for("the results of the run", lambda: (tmp_path / "run" / "results.json").exists(), 300)
        wait_for("the start of the child", lambda: children(process.pid))
        (child,) = children(process.pid)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        wait_for("the end of the child", lambda: not is_running(child), 20)
    assert process.returncode == 0, output
    assert "the diagram of the network is left out" in output
    assert "was cancelled" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "run")
    assert os.listdir(tmp_path) == ["spec.yaml"]
