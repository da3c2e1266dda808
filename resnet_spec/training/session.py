"""One run from its plan to its report.

Goes in: a `Subject`, a recipe, an opened data set, the machine, the folder. Comes out: `Result`, and the folder filled. The
steps: say what will be done, train (`loop`), take the best weights, use the test set once, write the report.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from resnet_spec._system.machine import available_memory
from resnet_spec.data import Data
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import Diagnostic, SpecError, printable
from resnet_spec.report.pictures import FinalScores, FinishedRun, write_pictures
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training import checkpoints
from resnet_spec.training.batches import EvaluationBatches
from resnet_spec.training.feeding import Feeds, Machine, feed, workers_of
from resnet_spec.training.loop import Loop, Progress, refuse_recipe
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.run_folder import BEST, LAST, RunFolder, read_environment, write_json, writing
from resnet_spec.training.scoring import Interrupted, Scores, score
from resnet_spec.training.stop import Stop
from resnet_spec.training.subject import Subject
from resnet_spec.training.world import processes_here
from resnet_spec.weights.file import write_weights
from resnet_spec.weights.metadata import WeightsFacts, preparation_data

RUN_FORMAT = 1
# What torch and the system say, on any device, of memory that is not there; and what torch says of its loader's processes.
OUT_OF_MEMORY = ("out of memory", "not enough memory", "llocate memory", "CUDNN_STATUS_ALLOC_FAILED")
WORKER_LOST = ("DataLoader worker", "shared memory", "shm", "bus error", "unable to write to file </torch_")
ONE_VALUE = "Expected more than 1 value per channel"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run has come to. `module` has the best weights: the best by the validation split, else the last.

    `best_epoch` is 0 where nothing was held out to choose by. `test` are the scores of those weights on the test images.
    """

    folder: Path
    module: nn.Module = field(repr=False)
    rows: tuple[EpochRow, ...] = field(repr=False)
    timings: tuple[Timing, ...] = field(repr=False)
    best_epoch: int
    test: Scores | None = field(repr=False)
    classes: tuple[str, ...]
    preparation: Preparation = field(repr=False)
    skipped: dict[str, str] = field(repr=False)

    @property
    def test_accuracy(self) -> float | None:
        return None if self.test is None else self.test.accuracy


@dataclass(frozen=True, slots=True)
class Console:
    """Where a run talks: a line at a time, steps, and epochs."""

    say: Callable[[str], None]
    on_step: Callable[[int, int, int, int, float, Callable[[], float]], None]
    on_epoch: Callable[[EpochRow, Timing, int], None]


@dataclass(frozen=True, slots=True)
class Session:
    """A run that is ready to begin: everything has been opened and checked, and nothing computed yet."""

    subject: Subject
    recipe: Recipe
    data: Data
    machine: Machine
    feeds: Feeds
    notes: tuple[str, ...]
    asked: dict[str, object]  # what `--resume` needs beside spec and recipe
    images: str  # a hash of the names of all images, those too that cannot be read
    console: Console

    @property
    def unrepeatable(self) -> bool:
        """Whether the run began with weights that its seed cannot give again, so that they have to be kept."""
        return bool(self.asked.get("weights") or self.asked.get("module"))

    def plan(self) -> str:
        """What is going to be done, in lines."""
        subject, recipe, data, feeds = self.subject, self.recipe, self.data, self.feeds
        training = feeds.training
        steps = recipe.iterations or (recipe.epochs or 0) * training.steps_per_epoch
        counts = [f"{len(training.labels):,} training"]
        counts += [f"{len(feeds.validation.labels):,} validation"] if feeds.validation is not None else []
        counts += [f"{len(feeds.test.labels):,} test"] if feeds.test is not None else []
        macs = "" if subject.macs is None else f", {subject.macs:,} multiply-adds"
        parts = f", in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
        world = self.machine.world.size
        processes = f", {world} processes" if world > 1 else ""
        device = str(self.machine.device) + (
            f" ({_count(torch.get_num_threads(), 'thread')})" if self.machine.device.type == "cpu" else ""
        )
        length = _count(recipe.epochs, "epoch") if recipe.epochs is not None else _count(recipe.iterations or 0, "iteration")
        lines = [
            f"network   {printable(subject.name)}: {subject.params:,} parameters{macs}",
            f"data      {printable(data.text)}: {', '.join(counts)} images, {len(data.classes)} classes",
            f"images    {feeds.preparation.channels}x{feeds.preparation.size[0]}x{feeds.preparation.size[1]}, "
            + ("held in memory" if feeds.held else self._readers()),
            f"recipe    {printable(recipe.name)}: {length}, {_count(steps, 'step')} of "
            f"{_count(recipe.batch_size, 'image')}{parts}, {recipe.optimizer}, lr {recipe.lr:g}, {recipe.schedule.op}",
            f"machine   {device}, {recipe.precision}{processes}",
        ]
        if subject.memory is not None:
            lines.append(f"memory    about {_megabytes(self._memory(recipe.batch_size))} for training")
        if feeds.validation is not None:
            lines.append("choice    the best epoch by the validation images; the test images are used once, at the end")
        elif feeds.test is not None:
            lines.append("choice    nothing is held out, so the last epoch counts; test figures are only watched")
        lines += [f"note      {printable(note)}" for note in self.notes]
        if recipe.patience is not None and feeds.validation is None:
            lines.append(
                "note      nothing is held out, so `early_stopping` has nothing to go by: `hold_out: 0.1` in the recipe"
            )
        if training.left_out:
            lines.append(
                f"note      {_count(training.left_out, 'image')} of each epoch's order left out: too few for a last batch"
            )
        if recipe.batch_size > len(training.labels):
            lines.append(f"note      a batch of {recipe.batch_size} is all {len(training.labels)} images")
        return "\n".join(lines)

    def _readers(self) -> str:
        count = workers_of(self.machine)
        return f"read by {_count(count, 'process')}" if count else "read as they are needed"

    def _memory(self, batch: int) -> int:
        """Bytes that training takes with a batch of this size."""
        assert self.subject.memory is not None
        part = -(-batch // (self.recipe.accumulate * self.machine.world.size))
        return self.subject.memory(part)

    def refuse_beyond_memory(self) -> None:
        """Raise SpecError where the estimate is more than the memory that is free."""
        free = free_memory(self.machine.device)
        if self.subject.memory is None or free is None or self.recipe.segments:
            return
        needed = self._memory(self.recipe.batch_size)
        if needed > free:
            message = f"training takes about {_megabytes(needed)}, and {_megabytes(free)} are free"
            mend = f"{self._smaller(free)}; or say --force"
            raise SpecError([Diagnostic("beyond-memory", message, None, help=mend)])

    def _smaller(self, free: int | None) -> str:
        """What takes less memory: a smaller batch that fits, where there is one."""
        batch = self.recipe.batch_size // 2
        if self.subject.memory is not None and free is not None:
            while batch and self._memory(batch) > 0.9 * free:
                batch //= 2
        mends = []
        if batch:
            parts = -(-self.recipe.batch_size // batch) * self.recipe.accumulate
            sure = " fits" if self.subject.memory is not None and free is not None else " takes less"
            mends.append(f"`--batch-size {batch}`{sure}; or the same batch in {parts} parts: `--set-recipe accumulate={parts}`")
        if not self.recipe.segments:
            mends.append("keep less for the backward pass: `--set-recipe segments=-1`")
        return "; or ".join(mends) or "smaller images, or a smaller network"

    def describe(self) -> dict[str, object]:
        """What `run.json` says."""
        return {
            "format": RUN_FORMAT,
            "name": self.subject.name,
            "fingerprint": self.subject.fingerprint,
            "input": list(self.subject.input),
            "data": self.data.text,
            "synthetic": self.data.kind == "synthetic",
            "classes": list(self.data.classes),
            "counts": {
                "training": len(self.feeds.training.labels),
                "validation": None if self.feeds.validation is None else len(self.feeds.validation.labels),
                "test": None if self.feeds.test is None else len(self.feeds.test.labels),
            },
            "labels": labels_hash(self.feeds),
            "images": self.images,
            "held": sorted(self.feeds.held_splits),
            "preparation": preparation_data(self.feeds.preparation),
            "processes": self.machine.world.size,
            "steps_per_epoch": self.feeds.training.steps_per_epoch,
            **self.asked,
        }

    def train(self, path: Path, stop: Stop, restored: checkpoints.Found | None = None) -> Result:
        """Run to the end. Raises Interrupted where it was asked to stop and everything is kept, SpecError as the loop does."""
        subject, recipe, machine = self.subject, self.recipe, self.machine
        module = subject.module
        facts = WeightsFacts(
            name=subject.name,
            fingerprint=subject.fingerprint,
            spec=subject.spec,
            classes=self.data.classes,
            preparation=self.feeds.preparation,
            recipe=recipe.name,
            data=self.data.text,
            epoch=0,
            step=0,
            split=recipe.split,
            hold_out=(recipe.hold_out, recipe.seed),
        )
        watched = self.feeds.validation or self.feeds.test
        folder = RunFolder(
            path,
            facts,
            recipe.keep,
            machine.world.writes,
            self.console.on_step,
            lambda row, timing: self.console.on_epoch(row, timing, loop.epochs),
        )
        chosen = self.feeds.validation is not None
        loop = Loop(
            module,
            recipe,
            self.feeds.training,
            self.feeds.validation,
            None if chosen else self.feeds.test,
            folder,
            machine.world,
            stop,
        )
        if restored is not None:
            try:
                loop.restore(dict(restored.state))
            except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
                message = f"{printable(str(restored.path))} does not fit the spec and the recipe in its folder"
                mend = f"were they changed since? ({printable(str(error).splitlines()[0])})"
                raise SpecError([Diagnostic("not-a-run", message, None, help=mend)]) from None
            if machine.world.writes:
                with writing(path):
                    folder.write_metrics(loop.progress.rows, loop.progress.timings)
        try:
            with stop.listening(), _determined(recipe.deterministic):
                if restored is None and self.unrepeatable:
                    loop.save()
                loop.run()
                result = self._finish(path, loop, facts, watched, stop)
        except (MemoryError, OSError, RuntimeError, ValueError) as error:
            told = self._told(error)
            if told is None:
                raise
            raise told from None
        finally:
            loop.release()
        return result

    def _told(self, error: Exception) -> SpecError | None:
        """An error of torch or of the system in words of the user's; None where nothing that the user does could mend it."""
        text = str(error)
        if any(words in text for words in WORKER_LOST):
            message = f"a process that reads images has ended, or could not hand them over: {printable(text.splitlines()[0])}"
            mend = (
                "most often memory, or shared memory (/dev/shm), was too small for it: go on with `--workers 0` or fewer; "
                "in a container, give it more `--shm-size`"
            )
            return SpecError([Diagnostic("worker-lost", message, None, help=mend)])
        if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
            message = f"there is not enough memory for a batch of {_count(self.recipe.batch_size, 'image')}"
            if self.subject.memory is not None:
                message += f", which takes about {_megabytes(self._memory(self.recipe.batch_size))}"
            mend = self._smaller(free_memory(self.machine.device))
            return SpecError([Diagnostic("beyond-memory", message, None, help=mend)])
        if isinstance(error, ValueError) and ONE_VALUE in text:
            message = "a batch norm is given one value for each channel, which cannot be normalised: the batch has one image"
            mend = "`--batch-size` of 2 or more for each part, or group norm: `--set 'norm={op: group_norm, num_groups: 8}'`"
            return self.recipe.refuse("recipe-batch", message, "batch_size", help=mend)
        return None

    def _finish(self, path: Path, loop: Loop, facts: WeightsFacts, watched: EvaluationBatches | None, stop: Stop) -> Result:
        """The best weights, the test set, the report."""
        progress = loop.progress
        module = loop.weights
        best = progress.best_epoch
        if best and best != len(progress.rows):
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                module.load_state_dict(load_file(path / BEST, device=str(self.machine.device)))
            except (SafetensorError, OSError) as error:
                message = f"cannot read the weights of epoch {best} from {printable(str(path / BEST))}: {printable(str(error))}"
                raise SpecError([Diagnostic("unreadable-file", message, None)]) from None
        elif self.machine.world.writes and not (path / LAST).exists():
            with writing(path):
                write_weights(path / LAST, module, facts)
        scores = None
        last = self.feeds.test or watched
        if last is not None:
            scores = score(
                module,
                last,
                len(self.data.classes),
                self.machine.device,
                self.recipe.precision,
                self.machine.world,
                lambda: stop.requested,
            )
            loop.world.wait()
        test = scores if self.feeds.test is not None else None
        if self.machine.world.writes:
            results = {
                "epochs": len(progress.rows),
                "steps": progress.step,
                "best_epoch": best or None,
                "best_validation_accuracy": progress.best if best else None,
                "test_loss": test.loss if test else None,
                "test_accuracy": test.accuracy if test else None,
                "test_top5": test.top5 if test else None,
                "skipped_images": len(self.feeds.skipped.names),
            }
            with writing(path):
                write_json(path / "results.json", results)
                started = read_environment(path) or environment()  # a resumed run was started by another command
                write_pictures(path, self._finished_run(progress, scores, started))
        return Result(
            path,
            module,
            tuple(progress.rows),
            tuple(progress.timings),
            best,
            test,
            self.data.classes,
            self.feeds.preparation,
            dict(self.feeds.skipped.names),
        )

    def _finished_run(self, progress: Progress, scores: Scores | None, started: dict[str, str]) -> FinishedRun:
        """What the report is written from."""
        subject, feeds = self.subject, self.feeds
        splits = {"training": feeds.training, "validation": feeds.validation, "test": feeds.test}
        final = None
        if scores is not None:
            matrix = scores.table(self.data.classes)
            final = FinalScores(feeds.test is not None, scores.loss, scores.accuracy, scores.top5, matrix)
        return FinishedRun(
            name=subject.name,
            params=subject.params,
            macs=subject.macs,
            spec=subject.spec,
            fingerprint=subject.fingerprint,
            diagram=None if subject.diagram is None else subject.diagram(),
            recipe=self.recipe.name,
            recipe_text=self.recipe.text,
            data=self.data,
            counts={name: len(batches.labels) for name, batches in splits.items() if batches is not None},
            preparation=feeds.preparation,
            notes=self.notes,
            skipped=feeds.skipped.names,
            rows=tuple(progress.rows),
            timings=tuple(progress.timings),
            best_epoch=progress.best_epoch,
            scores=final,
            environment=started,
        )


def begin(
    subject: Subject,
    recipe: Recipe,
    data: Data,
    preparation: Preparation,
    machine: Machine,
    notes: tuple[str, ...],
    asked: dict[str, object],
    console: Console,
) -> Session:
    """Get everything ready: images read where they fit, the module on its device."""
    if recipe.precision == "bf16" and machine.device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise recipe.refuse("recipe-precision", "this GPU does not compute in bf16", "precision", help="`--precision fp16`")
    layers = list(subject.module.modules())
    if recipe.channels_last and machine.device.type == "cpu" and any(map(_corrupts_memory, layers)):
        recipe = replace(recipe, channels_last=False)
        notes = (*notes, "channels_last is off: torch's 1x1 convolutions with a stride damage memory in it, of so few channels")
    norms = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers)
    world = machine.world
    refuse_recipe(subject.module, recipe)
    feeds = feed(data, recipe, preparation, machine, 2 if norms else 1)
    world.agree(
        {
            "spec": subject.spec or subject.name,
            "recipe": recipe.text,
            "data": f"{data.text} {labels_hash(feeds)} {feeds.preparation}",
            "version of torch": torch.__version__,
        }
    )
    if recipe.sync_batch_norm and world.size > 1:
        if machine.device.type != "cuda":
            message = "batch norm over all processes works on GPUs only"
            mend = "set it false, or use group norm: `--set 'norm={op: group_norm, num_groups: 8}'`"
            raise recipe.refuse("recipe-sync", message, "sync_batch_norm", help=mend)
        subject = replace(subject, module=nn.SyncBatchNorm.convert_sync_batchnorm(subject.module))  # type: ignore[no-untyped-call]
    memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
    subject.module.to(device=machine.device)
    subject.module.to(memory_format=memory_format)  # type: ignore[call-overload]
    told = replace(data, train=None, validation=None, test=None)  # `feeds` has the images; twice is too much memory
    return Session(subject, recipe, told, machine, feeds, notes, asked, names_hash(data), console)


def _corrupts_memory(layer: nn.Module) -> bool:
    """Whether the backward pass of a layer writes where it should not, on CPUs in channels_last (oneDNN issue 6035).

    Its 1x1 convolutions with a stride do where they have fewer channels than a vector has numbers: 16, or 8 on older CPUs.
    """
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and layer.in_channels // layer.groups < 16
    )


@contextmanager
def _determined(wanted: bool) -> Iterator[None]:
    """Only algorithms that give the same bits each time, where that is wanted."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def environment() -> dict[str, str]:
    """Versions and machine, for the record."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
        **({"simplejpeg": version("simplejpeg")} if find_spec("simplejpeg") else {}),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "command": " ".join(sys.argv),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def labels_hash(feeds: Feeds) -> str:
    """A hash of all labels in order: another one means that the data are not those the run began with."""
    found = hashlib.sha256()
    for batches in (feeds.training, feeds.validation, feeds.test):
        if batches is not None:
            found.update(batches.labels.tobytes())
    return found.hexdigest()


def names_hash(data: Data) -> str:
    """A hash of the names of all images in order."""
    found = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        if split is not None:
            for i in range(len(split)):
                found.update(os.fsencode(split.name(i)) + b"\0")
        found.update(b"\0")
    return found.hexdigest()


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device for this process; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = available_memory() if device.type == "cpu" else None
    return None if free is None else free // processes_here()


def _count(number: int, thing: str) -> str:
    """`1 step`, `2,000 steps`, `4 processes`."""
    return f"{number:,} {thing}{'' if number == 1 else 'es' if thing.endswith('s') else 's'}"


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


__all__ = ["Console", "Interrupted", "Result", "Session", "begin", "environment"]
