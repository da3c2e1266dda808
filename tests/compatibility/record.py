"""Write what this version gives as fixtures: `python -m tests.compatibility.record`.

It was run with version 0.1.0, at commit

    a44c8da9d5b671aca7ba775ce0e219cf68c5575d

and the fixtures say what that version did. It is not to be rerun to make a failing test pass: a test that fails here says that
something has changed which users depend on.

It imports nothing from inside the package. Which codes no situation leads to is printed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

from . import figures, situations, training
from .command_line import inside, run

ROOT = Path(__file__).parents[2]


def _write(path: Path, data: object, depth: int = 2) -> None:
    """JSON with a line for each entry down to `depth`."""

    def text(value: object, level: int) -> str:
        if not isinstance(value, dict) or level >= depth:
            return json.dumps(value, ensure_ascii=False)
        margin = "  " * (level + 1)
        rows = ",\n".join(
            f"{margin}{json.dumps(key, ensure_ascii=False)}: {text(each, level + 1)}" for key, each in value.items()
        )
        return f"{{\n{rows}\n{margin[2:]}}}"

    path.write_text(text(data, 0) + "\n", encoding="utf-8")


def record_figures() -> None:
    """`figures.json`: of each spec what it means."""
    with inside(ROOT):
        found = {name: figures.figures_of(figures.frozen_path(name)) for name in figures.names()}
    _write(figures.FIGURES, found)


def record_exit_codes(scratch: Path) -> None:
    """`exit_codes.json`: exit code and findings of each situation."""
    golden: dict[str, dict[str, list[object]]] = {}
    with inside(situations.INVALID):
        for name in situations.golden_names():
            commands = situations.golden_arguments(name, scratch)
            golden[name] = {command: situations.outcome(run(*arguments)) for command, arguments in commands.items()}
    folder = scratch / "situations"
    folder.mkdir()
    with inside(folder):
        situations.prepare(folder, torch=True)
        others = {each.name: situations.outcome(run(*each.arguments, stdin=each.stdin)) for each in situations.situations()}
    codes = [line.partition(":")[0] for line in run("explain").stdout.splitlines()]
    _write(situations.EXIT_CODES, {"codes": codes, "golden": golden, "situations": others})
    text = situations.EXIT_CODES.read_text(encoding="utf-8")
    print("codes that no situation leads to:", [code for code in codes if f' {code}"' not in text])


def _stopped_at(checkpoint: Path, step: int) -> None:
    """Ask this process to stop once the checkpoint of a step is there."""
    while not list(checkpoint.glob(f"step-{step:08}-*.pt")):
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGINT)


def record_runs(folder: Path) -> None:
    """`runs/`: runs as they were written, what they come to, and `recorded.json`."""
    if training.RUNS.exists():
        shutil.rmtree(training.RUNS)
    training.RUNS.mkdir()
    leave = shutil.ignore_patterns(*training.NOT_KEPT)
    steps: dict[str, list[str]] = {}
    with inside(folder):
        training.prepare(folder)
        training.good(run("build", "small.yaml", "-o", "drawn.safetensors", "--seed", "11"))
        shutil.copy("drawn.safetensors", training.RUNS)
        for name, (_, _, stop) in training.STARTED.items():
            if stop is not None:
                threading.Thread(target=_stopped_at, args=(Path(name, "checkpoints"), stop), daemon=True).start()
            done = run(*training.begin(name))
            assert done.code == (0 if stop is None else 130), done.stdout + done.stderr
            shutil.copytree(name, training.RUNS / name, ignore=leave)
            steps[name] = sorted(path.name for path in Path(name, "checkpoints").iterdir())
        for name, (_, _, stop) in training.STARTED.items():
            if stop is not None:
                training.good(run("train", "--resume", name, *training.CPU))
        for name in training.FROM_WEIGHTS:
            training.good(run(*training.begin_from_weights(name)))
        results: dict[str, dict[str, str]] = {}
        for name in (*training.STARTED, *training.FROM_WEIGHTS):
            (training.EXPECTED / name).mkdir(parents=True)
            for result in training.RESULTS:
                if Path(name, result).exists():
                    shutil.copy(Path(name, result), training.EXPECTED / name)
            results[name] = {path.name: training.sha256(path) for path in sorted((training.EXPECTED / name).iterdir())}
        images = [f"cut_images/{training.image_names('cut')[0]}", f"held_images/{training.image_names('held')[-1]}"]
        recorded = {
            "probe": training.probe(),
            "drawn": {"drawn.safetensors": training.sha256(training.RUNS / "drawn.safetensors")},
            "checkpoints": steps,
            "results": results,
            "evaluations": {
                **{f"{name} test": training.evaluated(name) for name in training.STARTED},
                **{
                    f"{name} {split}": training.evaluated(name, "--split", split)
                    for name in ("stopped", *training.OF_FOLDERS)
                    for split in ("train", "validation")
                },
                "finished/last.safetensors test": training.evaluated("finished/last.safetensors"),
            },
            "predictions": {name: training.predicted(name, *images) for name in training.STARTED},
            "splits": {name: training.split_members(name, folder) for name in training.OF_FOLDERS},
        }
    _write(training.RECORDED, recorded)


def main() -> None:
    """Record everything."""
    with tempfile.TemporaryDirectory() as scratch:
        record_figures()
        record_exit_codes(Path(scratch))
        (Path(scratch) / "runs").mkdir()
        record_runs(Path(scratch) / "runs")


if __name__ == "__main__":
    main()
