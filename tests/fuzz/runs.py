"""Folders of runs: other records, recipes, specs and figures, and files that are missing, empty, or no files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

import resnet_spec
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.report.record import read_rows
from resnet_spec.training import runs
from resnet_spec.training.console import Console
from tests.fuzz import Limits, Outcome, Wrong
from tests.fuzz.documents import PIECES, dump, mutate, nudge, scramble
from tests.fuzz.trained import (
    RESULTS,
    Runs,
    damage,
    require_ended,
    require_findings,
    require_probabilities,
    resume,
)

RECORDED = Path(__file__).parent.parent / "compatibility" / "runs"
FILES = (
    *("run.json", "run.json", "run.json", "recipe.yaml", "spec.yaml", "metrics.jsonl", "environment.json", "results.json"),
    *("metrics.csv", "timing.csv", "run.lock", "best.safetensors", "last.safetensors", "checkpoints", "report.html"),
)
# Files that a run writes and, while it trains, does not read: whatever was in them, it has the same results.
WRITTEN = ("metrics.jsonl", "metrics.csv", "timing.csv", "environment.json", "results.json", "last.safetensors", "report.html")
STATES = ("removed", "empty", "folder", "full folder", "pipe", "link to itself", "link to nothing", "link to itself inside")
USES = ("resume", "resume", "resume", "open", "evaluate", "predict", "rows")


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one file of a run: its bytes are others, or it is in one of STATES."""

    name: str
    state: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class RunCase:
    """A run, changes to its files, and what is asked of it."""

    run: str
    changes: tuple[Change, ...]
    use: str


class RunFolders:
    """The target. A run goes on to finite weights, and to the results of before where nothing was changed that it reads."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(2.0 if "CI" not in os.environ else 4.0)
        self.folder = folder
        self.runs = Runs(folder)
        recorded = {f"recorded {name}": RECORDED / name for name in ("stopped", "finished")}
        self.folders = {"stopped": self.runs.stopped, "finished": self.runs.finished, **recorded}
        resnet_spec.evaluate(self.runs.finished, device="cpu", workers=0)

    def draw(self, chance: Random) -> RunCase:
        """A run with one to three of its files changed."""
        name = chance.choice(("stopped", "stopped", "finished", *self.folders))
        changes = [self._change(self.folders[name], chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        return RunCase(name, tuple(changes), chance.choice(USES))

    def _change(self, run: Path, chance: Random) -> Change:
        name = chance.choice(FILES)
        path = run / name
        if name == "checkpoints":
            inner = sorted(path.iterdir())
            if inner and chance.random() < 0.6:
                path = chance.choice(inner)
                name = f"checkpoints/{path.name}"
        if chance.random() < 0.25 or not path.is_file():
            return Change(name, chance.choice(STATES))
        data = path.read_bytes()
        kind = chance.random()
        if kind < 0.7 and path.suffix in (".json", ".yaml", ".jsonl"):
            return Change(name, "other", _mutated(path, data, chance))
        if kind < 0.9 and path.suffix not in (".safetensors", ".pt"):
            return Change(name, "other", scramble(data, [data, *PIECES], chance))
        return Change(name, "other", damage(data, chance))

    def check(self, case: RunCase) -> Outcome:
        """What is asked of the run is done, or refused with findings."""
        run = self.folder / "run"
        _remove(run)
        shutil.copytree(self.folders[case.run], run)
        for change in case.changes:
            _apply(change, run)
        if case.use == "rows":
            return _read_rows(run)
        act: Callable[[Path, list[str]], Any] = getattr(self, f"_{case.use}")
        said: list[str] = []
        try:
            act(run, said)
        except ResnetSpecError as error:
            require_findings(error)
            return Outcome(accepted=False)
        if any(not line.isprintable() for line in said):
            raise Wrong(f"{said}\na control character in what is said")
        written = all(change.name in WRITTEN for change in case.changes)
        if case.use != "resume" or not written or case.run not in ("stopped", "finished"):
            return Outcome(accepted=True)
        changed = {change.name for change in case.changes}
        for name in RESULTS:
            if name == "last.safetensors" and name in changed and case.run == "finished":
                continue  # it is not written again
            if (run / name).read_bytes() != self.runs.expected[name]:
                raise Wrong(f"{name} is not what it is in the run that was not changed")
        return Outcome(accepted=True, compared=True)

    def _resume(self, run: Path, said: list[str]) -> None:
        require_ended(run, resume(run, said))

    def _open(self, run: Path, said: list[str]) -> None:
        runs.open_run(run, None, "cpu", 0, Console(said.append, lambda *_: None, lambda *_: None))

    def _evaluate(self, run: Path, said: list[str]) -> None:
        found = resnet_spec.evaluate(run, device="cpu", workers=0)
        if not 0 <= found.scores.accuracy <= 1:
            raise Wrong(f"the accuracy is {found.scores.accuracy}")

    def _predict(self, run: Path, said: list[str]) -> None:
        predictions = resnet_spec.predict(run, self.runs.image, top=99, device="cpu")
        require_probabilities(predictions, max((len(each.classes) for each in predictions), default=0))

    def write(self, case: RunCase, path: Path) -> None:
        """The changed files in a folder, and what is done with it."""
        path.mkdir(parents=True, exist_ok=True)
        lines = [f"{case.use} {case.run}"]
        for number, change in enumerate(case.changes):
            lines.append(f"{change.name} is {change.state}")
            if change.data:
                (path / f"{number}-{Path(change.name).name[-60:]}").write_bytes(change.data)
        (path / "how.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _mutated(path: Path, data: bytes, chance: Random) -> bytes:
    """Other data in the form of the file."""
    text = data.decode("utf-8")
    if path.suffix == ".yaml":
        holder: Any = yaml.safe_load(text)
    elif path.suffix == ".json":
        holder = json.loads(text)
    else:
        holder = {"rows": [json.loads(line) for line in text.splitlines()]}
    others = [deepcopied(holder)]
    (nudge if chance.random() < 0.4 else lambda one, chance: mutate(one, others, chance))(holder, chance)
    if path.suffix == ".yaml":
        try:
            return dump(holder)
        except (yaml.YAMLError, ValueError):  # what YAML cannot hold
            return scramble(data, [data], chance)
    if path.suffix == ".json":
        return json.dumps(holder, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    rows = holder.get("rows") if isinstance(holder, dict) else holder
    lines = [json.dumps(row) for row in (rows if isinstance(rows, list) else [rows])]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def deepcopied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _apply(change: Change, run: Path) -> None:
    """Change a file of a run; what an earlier change has made impossible is left out."""
    path = run / change.name
    with suppress(OSError):
        _remove(path)
        match change.state:
            case "other":
                path.write_bytes(change.data)
            case "empty":
                path.write_bytes(b"")
            case "folder":
                path.mkdir()
            case "full folder":
                (path / "inner").mkdir(parents=True)
            case "pipe":
                os.mkfifo(path)
            case "link to itself":
                path.symlink_to(path.name)
            case "link to nothing":
                path.symlink_to("nothing")
            case "link to itself inside":
                path.symlink_to(run, target_is_directory=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_rows(run: Path) -> Outcome:
    try:
        text = (run / "metrics.jsonl").read_text(encoding="utf-8") if (run / "metrics.jsonl").is_file() else ""
        read_rows(text)
    except (OSError, ValueError) as error:
        if not str(error):
            raise Wrong("a line was refused without a word") from None
        return Outcome(accepted=False)
    return Outcome(accepted=True)
