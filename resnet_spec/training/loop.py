"""The training loop, for any `nn.Module`.

Goes in: a module, a recipe, batches. Comes out: trained weights, a row of figures for each epoch, checkpoints. Everything that
happens is a function of the recipe, the data and the step, so a run that was stopped anywhere and restored goes on to the same
bits: the learning rate is computed from the step, random numbers from (seed, epoch, sample), and what has been summed up in an
unfinished epoch is part of the state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from resnet_spec.diagnostics import Diagnostic, SpecError, suggestion
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training.batches import Batch, EvaluationBatches, TrainingBatches
from resnet_spec.training.optimizer import make_optimizer
from resnet_spec.training.randomness import Purpose, seed_of
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.schedule import Length, factor
from resnet_spec.training.scoring import Interrupted, Scores, autocast, score
from resnet_spec.training.segments import Segmented
from resnet_spec.training.stop import Stop
from resnet_spec.training.world import World

FORMAT = 1
WINDOW = 100  # steps over which the training error that ends a warm-up is taken
LOOK_EVERY = 50  # steps between looks at the losses where each look waits for the device


class Watcher(Protocol):
    """Who is told how a run goes, and keeps what is worth keeping."""

    def stepped(self, epoch: int, step: int, of: int, images: int, seconds: float, loss: Callable[[], float]) -> None:
        """A step of the optimizer is done; `loss()` waits for the device."""

    def epoch_done(self, row: EpochRow, timing: Timing, scores: Scores | None, module: nn.Module, best: bool) -> None:
        """An epoch is over and evaluated; `module` has the weights that were evaluated."""

    def save(self, step: int, state: dict[str, object], rows: list[EpochRow], timings: list[Timing]) -> None:
        """Keep the state of the run."""


@dataclass(slots=True)
class Progress:
    """What a run has come to. `warm_end` is the step at which a warm-up that waits for the training error ended."""

    step: int
    rows: list[EpochRow]
    timings: list[Timing]
    best_epoch: int
    best: float
    seconds: float  # in all, before this process
    epoch_seconds: float  # of the unfinished epoch
    warm_end: int | None
    stopped_early: bool


class Loop:
    """One run of training. `run()` trains to the end; `restore()` takes up a state that `state()` gave."""

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        training: TrainingBatches,
        validation: EvaluationBatches | None,
        test: EvaluationBatches | None,
        watcher: Watcher,
        world: World,
        stop: Stop,
    ) -> None:
        self.recipe, self.training, self.validation, self.test = recipe, training, validation, test
        self.watcher, self.world, self.stop = watcher, world, stop
        self.device = training.device
        self.module = module
        frozen = freeze(module, recipe)
        self.frozen = frozen
        self._finite_names = [name for name, value in module.state_dict().items() if _finite(value)]
        self.optimizer = make_optimizer(module, recipe)
        self.average = _average(module, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        per_epoch = training.steps_per_epoch
        steps = recipe.iterations if recipe.iterations is not None else (recipe.epochs or 0) * per_epoch
        self.length = Length(steps, per_epoch)
        self.progress = Progress(0, [], [], 0, -1.0, 0.0, 0.0, None, False)
        numbers = torch.float32 if self.device.type == "mps" else torch.float64
        self.loss_sum = torch.zeros((), dtype=numbers, device=self.device)
        self.counts = torch.zeros(2, dtype=torch.int64, device=self.device)  # right answers, images
        self.window = torch.zeros(2, dtype=torch.int64, device=self.device)
        self._unseen: list[tuple[int, Tensor]] = []  # steps and losses since the last look
        self._saved_at = time.monotonic()
        self._began = time.monotonic()
        self.forward = self._forward()

    @property
    def epochs(self) -> int:
        """Epochs of the run; the last may be cut short by `iterations`."""
        return -(-self.length.steps // self.length.steps_per_epoch)

    @property
    def weights(self) -> nn.Module:
        """The module whose weights are evaluated and kept: the average, once there is one."""
        if self.average is None or not self.average.n_averaged:
            return self.module  # before its first update the average is the network that nobody has trained
        averaged = self.average.module
        assert isinstance(averaged, nn.Module)
        return averaged

    def _forward(self) -> Callable[[Tensor], Tensor]:
        forward = segmented(self.module, self.recipe) if self.recipe.segments else self.module
        if self.world.size > 1:
            devices = [self.device.index] if self.device.type == "cuda" else None
            forward = nn.parallel.DistributedDataParallel(forward, devices)
        return torch.compile(forward) if self.recipe.compile else forward

    def release(self) -> None:
        """Let go of what ties the module to the other processes."""
        self.forward = self.module

    def run(self) -> None:
        """Train to the end. Raises Interrupted after a save where the run was asked to stop, SpecError where it diverged."""
        steps = self.length.steps
        self._began = self._saved_at = time.monotonic()
        while not self._finished():
            epoch, first = divmod(self.progress.step, self.length.steps_per_epoch)
            if len(self.progress.rows) < (epoch if first == 0 or self.progress.step < steps else epoch + 1):
                self._end_epoch(len(self.progress.rows))  # it was stopped between the last step and the evaluation
                continue
            self._train(epoch, first)
            self._end_epoch(epoch)

    def _finished(self) -> bool:
        return self.progress.stopped_early or (
            self.progress.step >= self.length.steps and len(self.progress.rows) >= self.epochs
        )

    def _train(self, epoch: int, first: int) -> None:
        self.module.train()
        for part in self.frozen:
            part.eval()
        began = time.monotonic()
        before = self.progress.epoch_seconds
        batches = self.training.epoch(epoch, first)
        try:
            for parts in batches:
                self._step(parts)
                self.progress.step += 1
                self.progress.epoch_seconds = before + time.monotonic() - began
                images = self.progress.step - epoch * self.length.steps_per_epoch
                self.watcher.stepped(
                    epoch + 1,
                    self.progress.step,
                    self.length.steps,
                    min(images * self.recipe.batch_size, len(self.training.labels)),
                    self.progress.epoch_seconds,
                    self._last.item,
                )
                if self.world.any(self.stop.requested):
                    self.save()
                    raise Interrupted
                if self.progress.step >= self.length.steps:
                    break
                if self._due() and self.progress.step % self.length.steps_per_epoch:
                    self.save()
                    began, before = time.monotonic(), self.progress.epoch_seconds
        finally:
            batches.close()  # type: ignore[attr-defined]
        self._look()

    def _step(self, parts: list[Batch]) -> None:
        """One step of the optimizer: the gradient of the mean loss over the batch of all processes."""
        recipe, step = self.recipe, self.progress.step
        lr = recipe.lr * factor(recipe.schedule, recipe.warmup, step, self.length, self.progress.warm_end)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._last = torch.zeros((), device=self.device)
        whole = self._batch_size(step)
        mine = sum(len(part.labels) for part in parts)
        for number, part in enumerate(parts):
            if not len(part.labels):
                if self.world.size > 1:  # the others wait for its gradients
                    message = f"none of the images of a part of step {step} can be read"
                    mend = "remove the damaged images, or train in one process"
                    raise SpecError([Diagnostic("bad-image", message, None, help=mend)])
                continue
            torch.manual_seed(seed_of(Purpose.FORWARD, recipe.seed, step, self.world.rank * recipe.accumulate + number))
            share = len(part.labels) / whole
            with self._syncing(number == len(parts) - 1):
                with autocast(self.device, recipe.precision):
                    outputs = self.forward(part.images)
                    loss = F.cross_entropy(outputs.float(), part.targets, label_smoothing=recipe.label_smoothing)
                if self.device.type == "cpu" and not torch.isfinite(loss):
                    raise self._diverged(step, [part])
                scaled = loss if share == 1 else loss * (share * self.world.size)
                self.scaler.scale(scaled).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                detached = loss.detach()
                self._last += detached * (len(part.labels) / mine)
                self.loss_sum += detached.to(self.loss_sum.dtype) * len(part.labels)
                right = (outputs.argmax(1) == part.labels).sum()
                self.counts[0] += right
                self.counts[1] += len(part.labels)
                if recipe.warmup is not None and recipe.warmup.until is not None:
                    self.window[0] += right
                    self.window[1] += len(part.labels)
        if self.device.type != "cpu":
            self._unseen.append((step, self._last))
            if len(self._unseen) >= LOOK_EVERY:
                self._look(parts)
        self._update(step)

    def _update(self, step: int) -> None:
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None and self.recipe.ema is not None and (step + 1) % self.recipe.ema[1] == 0:
            self.average.update_parameters(self.module)
        warmup = self.recipe.warmup
        if warmup is not None and warmup.until is not None and self.progress.warm_end is None and (step + 1) % WINDOW == 0:
            right, seen = self.world.total(self.window.clone()).tolist()
            self.window.zero_()
            if 1 - right / max(1, seen) < warmup.until:
                self.progress.warm_end = step + 1

    def _batch_size(self, step: int) -> int:
        """Images in a step's batch over all processes; the last of an epoch may be smaller."""
        within = step % self.length.steps_per_epoch
        return min(self.recipe.batch_size, len(self.training.labels) - within * self.recipe.batch_size)

    def _syncing(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged after the last part of a batch only."""
        if self.world.size == 1 or last:
            return nullcontext()
        quiet: AbstractContextManager[Any] = self.forward.no_sync()  # type: ignore[attr-defined]
        return quiet

    def _share_statistics(self) -> None:
        """Every process takes the running statistics of the first, which are those that are kept."""
        for module in {id(self.module): self.module, id(self.weights): self.weights}.values():
            self.world.share(buffer for buffer in module.buffers())

    def _look(self, parts: Sequence[Batch] = ()) -> None:
        """Look at the losses of the last steps, which waits for the device. `parts` are those of a step not taken yet."""
        if not self._unseen:
            return
        finite = torch.isfinite(torch.stack([loss for _, loss in self._unseen])).tolist()
        steps = [step for step, _ in self._unseen]
        self._unseen.clear()
        if not all(finite):
            bad = finite.index(False)
            raise self._diverged(steps[bad], parts if bad == len(steps) - 1 else ())

    def _diverged(self, step: int, parts: Sequence[Batch]) -> SpecError:
        """The error for a loss that is no number at a step (from 0), with the first layer that gives none.

        It is looked for where the weights are still those of the step, and no other process would be waited for.
        """
        found = None
        with autocast(self.device, self.recipe.precision):
            for part in parts if self.world.size == 1 else ():
                found = found or first_not_finite(self.module, part.images)
        where = f"; the first layer whose output is not finite is {found}" if found else ""
        return self._not_finite(f"the loss is no longer a number at step {step + 1}{where}")

    def _refuse_not_finite(self) -> None:
        """Raise SpecError where a weight is no number any more: before it is evaluated, or written over a good one."""
        state = self.module.state_dict()
        bad = next((name for name in self._finite_names if not _finite(state[name])), None)
        if bad is not None:
            raise self._not_finite(f"`{bad}` is no longer finite after step {self.progress.step}")

    def _not_finite(self, message: str) -> SpecError:
        mend = f"a lower learning rate often helps: `--lr {min(self.recipe.lr / 10, 0.1):g}`"
        if self.progress.rows:
            mend += f"; the weights of epoch {self.progress.rows[-1].epoch} are kept"
        return SpecError([Diagnostic("loss-not-finite", message, self.recipe.place("optimizer", "lr"), help=mend)])

    def _end_epoch(self, epoch: int) -> None:
        """Evaluate, and write the row of an epoch (from 0)."""
        self._share_statistics()
        self._refuse_not_finite()
        scores = {}
        for name, batches in (("validation", self.validation), ("test", self.test)):
            if batches is not None:
                try:
                    scores[name] = score(
                        self.weights,
                        batches,
                        self.training.classes,
                        self.device,
                        self.recipe.precision,
                        self.world,
                        lambda: self.stop.requested,
                    )
                except Interrupted:
                    self.save()
                    raise
        loss = float(self.world.total(self.loss_sum.clone()))
        right, seen = self.world.total(self.counts.clone()).tolist()
        if not seen:
            mend = "are the data still where they were?"
            message = f"not one training image could be read in epoch {epoch + 1}"
            raise SpecError([Diagnostic("no-images", message, None, help=mend)])
        validation, test = scores.get("validation"), scores.get("test")
        row = EpochRow(
            epoch=epoch + 1,
            step=self.progress.step,
            lr=float(self.optimizer.param_groups[0]["lr"]),
            train_loss=loss / max(1, seen),
            train_accuracy=right / max(1, seen),
            validation_loss=validation.loss if validation else None,
            validation_accuracy=validation.accuracy if validation else None,
            validation_top5=validation.top5 if validation else None,
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
            test_top5=test.top5 if test else None,
        )
        seconds = self.progress.epoch_seconds
        total = self.progress.seconds + time.monotonic() - self._began
        timing = Timing(epoch + 1, seconds, seen / max(seconds, 1e-9), total)
        better = validation is not None and validation.accuracy > self.progress.best
        if better and validation is not None:
            self.progress.best, self.progress.best_epoch = validation.accuracy, epoch + 1
        self.progress.rows.append(row)
        self.progress.timings.append(timing)
        patience = self.recipe.patience
        if patience is not None and epochs_without_growth(self.progress.rows, self.recipe.min_delta) >= patience:
            self.progress.stopped_early = True
        self.loss_sum.zero_()
        self.counts.zero_()
        self.progress.epoch_seconds = 0.0
        self.watcher.epoch_done(row, timing, validation or test, self.weights, better)
        self.save()
        if self.world.any(self.stop.requested) and not self._finished():
            raise Interrupted

    def _due(self) -> bool:
        """Whether a checkpoint is to be written between epochs."""
        recipe = self.recipe
        by_steps = recipe.save_steps is not None and self.progress.step % recipe.save_steps == 0
        late = recipe.save_minutes is not None and time.monotonic() - self._saved_at >= 60 * recipe.save_minutes
        return by_steps or (self.world.any(late) if recipe.save_minutes is not None and self.world.size > 1 else late)

    def save(self) -> None:
        """Give the state to the watcher. Raises SpecError where the weights are not finite: the last good ones stay."""
        self._look()
        state = self.state()
        if self.world.writes:
            self._refuse_not_finite()
            self.watcher.save(self.progress.step, state, self.progress.rows, self.progress.timings)
        self.world.wait()  # one that ended before would have the others ended, in the middle of writing
        self._saved_at = time.monotonic()

    def state(self) -> dict[str, object]:
        """Everything that the rest of the run depends on, as plain types and tensors."""
        progress = self.progress
        sums = self.world.gathered((float(self.loss_sum), self.counts.tolist(), self.window.tolist()))
        return {
            "format": FORMAT,
            "step": progress.step,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
            "averaged": 0 if self.average is None else int(self.average.n_averaged),
            "rows": [asdict(row) for row in progress.rows],
            "timings": [asdict(timing) for timing in progress.timings],
            "best_epoch": progress.best_epoch,
            "best": progress.best,
            "seconds": progress.seconds + time.monotonic() - self._began,
            "epoch_seconds": progress.epoch_seconds,
            "warm_end": progress.warm_end,
            "stopped_early": progress.stopped_early,
            "sums": sums,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state. Raises KeyError, ValueError or RuntimeError where it is of another network or recipe."""
        self.module.load_state_dict(state["module"])
        groups = zip(state["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True)
        if any(there.keys() != own.keys() for there, own in groups):
            raise ValueError("the state is of another optimizer")
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
            self.average.n_averaged.fill_(state["averaged"])
        self.progress = Progress(
            step=state["step"],
            rows=[EpochRow(**row) for row in state["rows"]],
            timings=[Timing(**timing) for timing in state["timings"]],
            best_epoch=state["best_epoch"],
            best=state["best"],
            seconds=state["seconds"],
            epoch_seconds=state["epoch_seconds"],
            warm_end=state["warm_end"],
            stopped_early=state["stopped_early"],
        )
        sums = state["sums"]
        same = len(sums) == self.world.size  # else the first process takes all
        mine = [sums[self.world.rank]] if same else sums if self.world.rank == 0 else []
        self.loss_sum.fill_(sum(loss for loss, _, _ in mine))
        for tensor, position in ((self.counts, 1), (self.window, 2)):
            for place in range(2):
                tensor[place] = sum(each[position][place] for each in mine)


def epochs_without_growth(rows: Sequence[EpochRow], least: float) -> int:
    """How many epochs ago the validation accuracy last grew by more than `least`; 0 where there is none."""
    reference, since = -math.inf, 0
    for row in rows:
        if row.validation_accuracy is None:
            continue
        since += 1
        if row.validation_accuracy > reference + least:
            reference, since = row.validation_accuracy, 0
    return since


def freeze(module: nn.Module, recipe: Recipe) -> list[nn.Module]:
    """Keep the named parts of a module as they are: no gradients, and statistics as in evaluation. Returns the parts."""
    modules = dict(module.named_modules())
    frozen = []
    for name in recipe.freeze:
        if name not in modules or not name:
            message = f"the network has no part `{name}` to freeze"
            raise recipe.refuse("recipe-freeze", message, "freeze", help=suggestion(name, [each for each in modules if each]))
        frozen.append(modules[name].requires_grad_(False))
    return frozen


def segmented(module: nn.Module, recipe: Recipe) -> Segmented:
    """`module` in the segments of the recipe. Raises SpecError where it is no sequence that could be cut."""
    try:
        return Segmented(module, recipe.segments)
    except ValueError as error:
        raise recipe.refuse("recipe-segments", f"the network cannot be cut: {error}", "segments") from None


def refuse_recipe(module: nn.Module, recipe: Recipe) -> None:
    """Raise SpecError where the recipe asks for what cannot be done with `module`: before data are read and a folder made."""
    freeze(module, recipe)
    make_optimizer(module, recipe)
    if recipe.segments:
        segmented(module, recipe)


def _average(module: nn.Module, recipe: Recipe) -> AveragedModel | None:
    if recipe.ema is None:
        return None
    average: Any = get_ema_multi_avg_fn(recipe.ema[0])  # type: ignore[no-untyped-call]
    return AveragedModel(module, multi_avg_fn=average, use_buffers=True)


def _finite(value: object) -> bool:
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(torch.isfinite(value).all())


def first_not_finite(module: nn.Module, images: Tensor) -> str | None:
    """The name of the first layer, in the order of the forward pass, whose output is not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(layer: nn.Module, args: object, output: object) -> None:
            if not found and not any(layer.children()) and not _finite(output):
                found.append(name)

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in module.named_modules() if name]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
