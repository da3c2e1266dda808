"""One run from its plan to its report: train, take the best weights, use the test set once, write the report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from resnet_spec._system.packages import require_packages
from resnet_spec.data import Data
from resnet_spec.data.levels import apply_levels
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import (
    ArgumentError,
    DataError,
    Diagnostic,
    RecipeError,
    ResnetSpecError,
    TrainingError,
    printable,
)
from resnet_spec.report.pictures import FinalScores, FinishedRun, write_pictures
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.report.tables import percent_text
from resnet_spec.training import checkpoints
from resnet_spec.training.amounts import count_text
from resnet_spec.training.class_weights import note_imbalance, note_weights
from resnet_spec.training.console import Console
from resnet_spec.training.environment import describe_environment, deterministic_algorithms
from resnet_spec.training.failures import explain
from resnet_spec.training.feeding import Feeds, Machine, feed
from resnet_spec.training.final_scores import FinalResults, describe_scores, score_finally
from resnet_spec.training.fitting import check_recipe
from resnet_spec.training.layout import reason_against_channels_last
from resnet_spec.training.lengthening import FREE_OF_LENGTH
from resnet_spec.training.loop import Loop
from resnet_spec.training.memory import MemoryEstimate
from resnet_spec.training.norms import check_norms
from resnet_spec.training.outputs import check_auxiliary
from resnet_spec.training.progress import Progress
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.run_folder import BEST, LAST, RunFolder, identify_folder, read_environment, refuse_special, writing
from resnet_spec.training.run_record import hash_contents, hash_labels, hash_names, write_json
from resnet_spec.training.sampling import ImagesOfSplit, measure_images
from resnet_spec.training.schedule import find_beyond, length_of
from resnet_spec.training.scoring import Scores
from resnet_spec.training.stop import Stop
from resnet_spec.training.subject import Subject
from resnet_spec.weights.file import write_weights
from resnet_spec.weights.loading import copy_weights
from resnet_spec.weights.metadata import WeightsFacts


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a run. `module` has the best weights: the best by the validation split, else the last.

    `best_epoch` is 0 where nothing was held out to choose by. `validation` and `test` are the scores of those weights on the
    validation and the test images. `stopped_early` is why the run ended before its length; empty where it did not.
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
    stopped_early: str = field(default="", repr=False)
    validation: Scores | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        facts = [count_text(len(self.rows), "epoch")]
        if self.best_epoch and (best := self.rows[self.best_epoch - 1].validation_accuracy) is not None:
            facts.append(f"validation accuracy {percent_text(best)} (epoch {self.best_epoch})")
        elif self.test is None and self.rows:
            facts.append(f"training accuracy {percent_text(self.rows[-1].train_accuracy)}, nothing held out")
        if self.test is not None:
            facts.append(f"test accuracy {percent_text(self.test.accuracy)}")
        return f"<Result in {printable(str(self.folder))}: {', '.join(facts)}>"

    @property
    def test_accuracy(self) -> float | None:
        return None if self.test is None else self.test.accuracy

    @property
    def test_balanced_accuracy(self) -> float | None:
        """The mean recall of the classes, 0 to 1."""
        return None if self.test is None else self.test.balanced_accuracy

    @property
    def test_macro_f1(self) -> float | None:
        """The mean F1 of the classes, 0 to 1."""
        return None if self.test is None else self.test.macro_f1


@dataclass(frozen=True, slots=True)
class Session:
    """A run that is ready to start: everything has been opened and checked, and nothing is computed yet."""

    subject: Subject
    recipe: Recipe
    data: Data
    machine: Machine
    feeds: Feeds
    notes: tuple[str, ...]
    images: str  # a hash of the names of all images
    contents: str  # a hash of what is in them
    console: Console
    own_labels: bool = False  # as version 0.1.0 counted mixed images
    published: tuple[str, str] = ("", "")  # where the weights that training started from were published, and their license
    began: tuple[str, ...] = ()  # the notes of a run's start, where it is resumed

    @property
    def labels(self) -> str:
        """A hash of all labels."""
        return hash_labels(self.feeds)

    @property
    def memory(self) -> MemoryEstimate:
        return MemoryEstimate(self.subject, self.recipe, self.machine)

    def train(
        self,
        path: Path,
        stop: Stop,
        restored: checkpoints.Found | None = None,
        *,
        save_first: bool = False,
        is_new: bool = False,
    ) -> Result:
        """Train to the end, and write the report. `save_first` saves before the first step, too.

        The files of a run that `is_new` are removed where the data, the recipe or the memory end it before its first step.

        Raises:
            Interrupted: the run was asked to stop, and has been saved.
            TrainingError: it diverged, or does not fit into memory.
            DataError: an image cannot be read.
            ArgumentError: a file of the run cannot be read or written, or the checkpoint is of another run.
        """
        folder = RunFolder(
            path,
            self._facts(),
            self.recipe.keep,
            self.machine.world.writes,
            self.console.on_step,
            lambda row, timing: self.console.on_epoch(row, timing, loop.epochs),
            identify_folder(path),
        )
        feeds = self.feeds
        if self.recipe.augment.mixes and not self.own_labels:
            self.console.say("training accuracy is that of mixed images, against the class with the larger share of each")
        test = feeds.test if feeds.validation is None else None  # it is used once, at the end, where there is a choice to make
        loop = Loop(
            *(self.subject.module, self.recipe, feeds.training, feeds.validation, test),
            *(folder, self.machine.world, stop),
            own_labels=self.own_labels,
        )

        def discard_unbegun() -> None:
            if is_new and folder.writes and not loop.progress.step:
                folder.discard()

        if folder.writes:
            refuse_special(path)
            with writing(path):
                checkpoints.clear_unfinished(path)
        if restored is not None:
            self._restore(loop, folder, restored)
            if loop.is_finished:
                done = count_text(len(loop.progress.rows), "epoch")
                can = not loop.progress.stopped_early and self.recipe.schedule.op in FREE_OF_LENGTH
                more = "; `--epochs N` trains on" if can else ""
                self.console.say(f"finished  the run has trained its {done}; its report is written again{more}")
        try:
            with stop.listening(), deterministic_algorithms(self.recipe.deterministic):
                if save_first:
                    loop.save()
                loop.run()
                return self._finish(folder, loop, stop)
        except (ArithmeticError, MemoryError, OSError, RuntimeError, ValueError) as error:
            explained = explain(error, self.recipe, self.memory)
            if explained is None:
                raise
            discard_unbegun()
            raise explained from None
        except (DataError, RecipeError, TrainingError):
            discard_unbegun()
            raise
        finally:
            loop.release()
            feeds.close()

    def _facts(self) -> WeightsFacts:
        """What is stored with the weights."""
        return WeightsFacts(
            name=self.subject.name,
            fingerprint=self.subject.fingerprint,
            spec=self.subject.spec,
            classes=self.data.classes,
            preparation=self.feeds.preparation,
            recipe=self.recipe.name,
            data=self.data.text,
            epoch=0,
            step=0,
            split=self.recipe.split,
            hold_out=(self.recipe.hold_out, self.recipe.seed),
            data_version=None if self.data.version == 1 else self.data.version,
            source=self.published[0],
            license=self.published[1],
        )

    def _restore(self, loop: Loop, folder: RunFolder, restored: checkpoints.Found) -> None:
        try:
            loop.restore(dict(restored.state))
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            message = f"{printable(str(restored.path))} does not fit the spec and the recipe in its folder"
            help = f"check whether they were changed since ({printable(str(error).splitlines()[0])})"
            raise ArgumentError([Diagnostic("not-a-run", message, None, help=help)]) from None
        if folder.writes:
            with writing(folder.path):
                folder.write_metrics(loop.progress.rows, loop.progress.timings)

    def _finish(self, folder: RunFolder, loop: Loop, stop: Stop) -> Result:
        """Load the best weights, score them on the test images, and write results and report."""
        path = folder.path
        folder.check_place()
        progress, feeds, machine = loop.progress, self.feeds, self.machine
        module = loop.weights
        best = progress.best_epoch
        if best and best != len(progress.rows):
            copy_weights(module, path / BEST, self.subject.name)
        elif machine.world.writes and not (path / LAST).exists():
            with writing(path):
                write_weights(path / LAST, module, folder.facts)
        where = (machine.device, self.recipe.precision, machine.world)
        try:
            found = score_finally(module, feeds, self.data.classes, *where, lambda: stop.requested, path)
        except ArgumentError:  # its table of predictions cannot be written
            folder.check_place()
            raise
        test = found.test
        early = self._why_early(progress)
        if early:
            self.console.say(f"stopped   {early}")
        if machine.world.writes:
            folder.check_place()
            results = {
                "epochs": len(progress.rows),
                "steps": progress.step,
                "best_epoch": best or None,
                "best_validation_accuracy": progress.best if best else None,
                "test_loss": test.loss if test else None,
                "test_accuracy": test.accuracy if test else None,
                "test_top5": test.top5 if test else None,
                "skipped_images": len(feeds.skipped.names),
                **({"stopped_early": early} if early else {}),
                **describe_scores(found),
            }
            with writing(path):
                write_json(path / "results.json", results)
                started = read_environment(path) or describe_environment()  # another command started a resumed run
                finished = self._finished_run(progress, found, started, stop)
                write_pictures(path, replace(finished, notes=(*finished.notes, early)) if early else finished)
            folder.check_place()
        rows, timings, skipped = tuple(progress.rows), tuple(progress.timings), dict(feeds.skipped.names)
        names, prepared = self.data.classes, feeds.preparation
        return Result(path, module, rows, timings, best, test, names, prepared, skipped, early, found.validation)

    def _why_early(self, progress: Progress) -> str:
        """Why a run ended before its length; empty where it did not."""
        if not progress.stopped_early or self.recipe.patience is None:
            return ""
        epochs = self.recipe.epochs
        after = f"after epoch {len(progress.rows)}" + ("" if epochs is None else f" of {epochs}")
        more = f" by more than {self.recipe.min_delta:g}" if self.recipe.min_delta else ""
        since = count_text(self.recipe.patience, "epoch")
        return f"early, {after}: the validation accuracy has not grown{more} for {since} (`early_stopping` in the recipe)"

    def _draw(self, stop: Stop) -> tuple[bytes | None, tuple[str, ...]]:
        """The diagram of the network as SVG, or None and a note: a run is worth more than its picture."""
        if self.subject.diagram is None:
            return None, ()
        try:
            return self.subject.diagram(lambda: stop.requested), ()
        except ResnetSpecError as error:
            why = error.diagnostics[0].message
        except OSError as error:  # no process can be started
            why = str(error)
        return None, (f"the diagram of the network is left out: {why}",)

    def _finished_run(self, progress: Progress, found: FinalResults, environment: dict[str, str], stop: Stop) -> FinishedRun:
        """What the report is written from."""
        subject, feeds = self.subject, self.feeds
        splits = {"training": feeds.training, "validation": feeds.validation, "test": feeds.test}
        final, scores = None, found.test or found.validation
        shown = feeds.test or feeds.validation
        if scores is not None and shown is not None:
            matrix = scores.table(self.data.classes)
            final = FinalScores(found.test is not None, scores.loss, scores.accuracy, scores.top5, matrix, scores.reliability)
        diagram, notes = self._draw(stop)
        for note in notes:
            self.console.say(note)
        return FinishedRun(
            name=subject.name,
            params=subject.params,
            macs=subject.macs,
            spec=subject.spec,
            fingerprint=subject.fingerprint,
            diagram=diagram,
            recipe=self.recipe.name,
            recipe_text=self.recipe.text,
            data=self.data,
            counts={name: len(batches.labels) for name, batches in splits.items() if batches is not None},
            preparation=feeds.preparation,
            notes=(*self.began, *self.notes, *notes),
            skipped=feeds.skipped.names,
            rows=tuple(progress.rows),
            timings=tuple(progress.timings),
            best_epoch=progress.best_epoch,
            scores=final,
            environment=environment,
            mixed=self.recipe.augment.mixes,
            statistics=measure_images(feeds.training),
            gallery=found.gallery,
            picture=None if shown is None else ImagesOfSplit(shown, self.data.home).read,
        )


def open_session(
    subject: Subject,
    recipe: Recipe,
    data: Data,
    preparation: Preparation,
    machine: Machine,
    notes: tuple[str, ...],
    console: Console,
) -> Session:
    """Get a run ready: hold images in memory where they fit, and move the module to its device.

    Raises RecipeError where the recipe cannot be carried out, DataError where an image cannot be read, TrainingError where the
    processes of the run were started with different facts.
    """
    if recipe.precision == "bf16" and machine.device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise recipe.refuse("recipe-precision", "this GPU does not compute in bf16", "precision", help="`--precision fp16`")
    if recipe.augment.each:
        require_packages("the augmentation in this recipe", "torchvision")
    check_auxiliary(recipe, subject.named_outputs, subject.outputs)
    check_recipe(subject.module, recipe)  # it also freezes parts, on which the layout depends
    if recipe.channels_last and machine.device.type == "cpu":
        reason = reason_against_channels_last(subject.module, subject.input)
        if reason is not None:
            recipe = replace(recipe, channels_last=False)
            notes = (*notes, f"channels_last is off: {reason}")
    recipe = replace(recipe, augment=recipe.augment.for_images_of(*preparation.size))
    norms = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in subject.module.modules())
    data = apply_levels(data, preparation.levels)
    if norms and data.train is not None:
        check_norms(subject.module, recipe, (preparation.channels, *preparation.size), len(data.train), machine.world)
    feeds = feed(data, recipe, preparation, machine, 2 if norms else 1)
    notes = (*notes, *find_beyond(recipe, length_of(recipe, feeds.training.steps_per_epoch)))
    machine.world.agree(
        {
            "spec": subject.spec or subject.name,
            "recipe": recipe.text,
            "data": f"{data.text} {hash_labels(feeds)} {feeds.preparation}",
            "version of torch": torch.__version__,
        }
    )
    subject = _with_synced_norms(subject, recipe, machine)
    memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
    subject.module.to(device=machine.device)
    subject.module.to(memory_format=memory_format)  # type: ignore[call-overload]
    notes = (*notes, *note_imbalance(recipe, data.classes, feeds.training.labels))
    notes = (*notes, *note_weights(data.classes, feeds.training.class_weights))
    described = replace(data, train=None, validation=None, test=None)  # `feeds` has the images; twice is too much memory
    return Session(subject, recipe, described, machine, feeds, notes, hash_names(data), hash_contents(data), console)


def _with_synced_norms(subject: Subject, recipe: Recipe, machine: Machine) -> Subject:
    """The subject with batch norms over all processes, if the recipe specifies them and there are several."""
    if not recipe.sync_batch_norm or machine.world.size == 1:
        return subject
    if machine.device.type != "cuda":
        message = "batch norm over all processes works on GPUs only"
        help = "set it false, or use group norm: `--set 'norm={op: group_norm, num_groups: 8}'`"
        raise recipe.refuse("recipe-sync", message, "sync_batch_norm", help=help)
    return replace(subject, module=nn.SyncBatchNorm.convert_sync_batchnorm(subject.module))  # type: ignore[no-untyped-call]
