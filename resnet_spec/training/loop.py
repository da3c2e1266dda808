"""The training loop, for any `nn.Module`: trained weights, a row of figures for each epoch, checkpoints.

Everything that happens is a function of the recipe, the data and the step. A run that was stopped anywhere and is restored
continues to the same bits: the learning rate is computed from the step, random numbers from (seed, epoch, sample), and the sums
of an unfinished epoch are part of the state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from resnet_spec.diagnostics import DataError, Diagnostic
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training.batches import Batch, EvaluationBatches, TrainingBatches
from resnet_spec.training.divergence import DivergenceCheck
from resnet_spec.training.fitting import cut_into_segments, freeze, make_average
from resnet_spec.training.optimizer import make_optimizer
from resnet_spec.training.outputs import main_output
from resnet_spec.training.progress import EpochSums, Progress, epochs_without_growth, make_row
from resnet_spec.training.randomness import Purpose, seed_of
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.schedule import factor, length_of
from resnet_spec.training.scoring import Interrupted, Scores, autocast, score
from resnet_spec.training.stop import Stop
from resnet_spec.training.watcher import Watcher
from resnet_spec.training.world import World

FORMAT = 1
WINDOW = 100  # steps over which the training error that ends a warm-up is taken


class Loop:
    """One run of training. `run` trains to the end; `restore` continues from what `state` returned."""

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
        *,
        own_labels: bool = False,
    ) -> None:
        """`own_labels`: count mixed images as correct by their own label, as version 0.1.0 did, not by the dominant one."""
        self.recipe, self.training, self.validation, self.test = recipe, training, validation, test
        self.watcher, self.world, self.stop = watcher, world, stop
        self.device = training.device
        self.module = module
        self.own_labels = own_labels
        self.class_weights: Tensor | None = None
        if training.class_weights is not None:
            self.class_weights = torch.from_numpy(training.class_weights).to(self.device, torch.float32)
        self.frozen = freeze(module, recipe)
        self.divergence = DivergenceCheck(module, recipe, self.device, world.size == 1)
        self.optimizer = make_optimizer(module, recipe)
        self.average = make_average(module, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        self.length = length_of(recipe, training.steps_per_epoch)
        self.progress = Progress()
        self.sums = EpochSums(self.device)
        self._last_loss = torch.zeros((), device=self.device)
        self._saved_at = self._began = time.monotonic()
        self.forward = self._forward()

    @property
    def epochs(self) -> int:
        """Epochs of the run; the last may be cut short by `iterations`."""
        return -(-self.length.steps // self.length.steps_per_epoch)

    @property
    def weights(self) -> nn.Module:
        """The module whose weights are evaluated and kept: the moving average, once there is one."""
        if self.average is None or not self.average.n_averaged:
            return self.module  # before its first update the average is the untrained network
        averaged = self.average.module
        assert isinstance(averaged, nn.Module)
        return averaged

    def _forward(self) -> Callable[[Tensor], Tensor | dict[str, Tensor]]:
        forward = cut_into_segments(self.module, self.recipe) if self.recipe.segments else self.module
        if self.world.size > 1:
            devices = [self.device.index] if self.device.type == "cuda" else None
            unused = len(getattr(self.module, "_outputs", ())) > 1 + len(self.recipe.auxiliary)  # outputs without a loss
            forward = nn.parallel.DistributedDataParallel(forward, devices, find_unused_parameters=unused)
        return torch.compile(forward) if self.recipe.compile else forward

    def release(self) -> None:
        """Drop what ties the module to the other processes."""
        self.forward = self.module

    def run(self) -> None:
        """Train to the end.

        Raises:
            Interrupted: the run was asked to stop, and has been saved.
            TrainingError: it diverged.
            DataError: an image cannot be read.
        """
        self._began = self._saved_at = time.monotonic()
        while not self.is_finished:
            if len(self.progress.rows) == self._epochs_trained():  # else it was stopped before the epoch was evaluated
                self._train_epoch()
            self._end_epoch()

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.progress.stopped_early or (
            self.progress.step >= self.length.steps and len(self.progress.rows) >= self.epochs
        )

    def _epochs_trained(self) -> int:
        """Epochs of which every step is done."""
        return self.epochs if self.progress.step >= self.length.steps else self.progress.step // self.length.steps_per_epoch

    def _train_epoch(self) -> None:
        """Take the steps of an epoch, or those that are left of it, and save as often as the recipe says."""
        self.module.train()
        for part in self.frozen:
            part.eval()
        began = time.monotonic()
        before = self.progress.epoch_seconds
        epoch, first = divmod(self.progress.step, self.length.steps_per_epoch)
        batches = self.training.epoch(epoch, first)
        try:
            for parts in batches:
                self._step(parts)
                self.progress.step += 1
                self.progress.epoch_seconds = before + time.monotonic() - began
                self._report_step(epoch)
                if self.world.any(self.stop.requested):
                    self.save()
                    raise Interrupted
                if self.progress.step >= self.length.steps:
                    break
                if self._save_is_due() and self.progress.step % self.length.steps_per_epoch:
                    self.save()
                    began, before = time.monotonic(), self.progress.epoch_seconds
        finally:
            batches.close()  # type: ignore[attr-defined]
        self.divergence.look()

    def _report_step(self, epoch: int) -> None:
        steps = self.progress.step - epoch * self.length.steps_per_epoch
        self.watcher.stepped(
            epoch + 1,
            self.progress.step,
            self.length.steps,
            min(steps * self.recipe.batch_size, len(self.training.labels)),
            self.progress.epoch_seconds,
            self._last_loss.item,
        )

    def _step(self, parts: list[Batch]) -> None:
        """One step of the optimizer: the gradient of the mean loss over the batch of all processes.

        Where none of the images of the batch could be read, the step is counted and nothing is learned in it.
        """
        recipe, step = self.recipe, self.progress.step
        lr = recipe.lr * factor(recipe.schedule, recipe.warmup, step, self.length, self.progress.warm_end)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        images = sum(len(part.labels) for part in parts)
        if images:
            self._last_loss = torch.zeros((), device=self.device)
        for number, part in enumerate(parts):
            if len(part.labels):
                last = number == len(parts) - 1
                torch.manual_seed(seed_of(Purpose.FORWARD, recipe.seed, step, self.world.rank * recipe.accumulate + number))
                loss = self._add_gradient(step, part, last)
                self._last_loss += loss * (len(part.labels) / images)
            elif self.world.size > 1:  # the others wait for its gradients
                message = f"none of the images of a part of step {step} can be read"
                help = "remove the damaged images, or train in one process"
                raise DataError([Diagnostic("bad-image", message, None, help=help)])
        self.divergence.add(step, self._last_loss, parts)
        if images:
            self._update_weights()
        self._after_update(step)

    def _add_gradient(self, step: int, part: Batch, last: bool) -> Tensor:
        """Add the gradient of a part of a batch, and return its mean loss. `last`: it is the last part of the batch."""
        recipe = self.recipe
        share = len(part.labels) / self._batch_size(step)
        with self._syncing(last):
            with autocast(self.device, recipe.precision):
                returned = self.forward(part.images)
                outputs = main_output(returned)
                loss = self._loss(step, outputs.float(), part)
                for name, weight in recipe.auxiliary.items():
                    assert not isinstance(returned, Tensor)
                    loss = loss + weight * self._loss(step, returned[name].float(), part)
            self.divergence.check_part(step, loss, part)
            scaled = loss if share == 1 else loss * (share * self.world.size)
            self.scaler.scale(scaled).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            detached = loss.detach()
            correct = (outputs.argmax(1) == (part.labels if self.own_labels else part.dominant)).sum()
            windowed = recipe.warmup is not None and recipe.warmup.until is not None
            self.sums.add(detached, correct, len(part.labels), windowed=windowed)
        return detached

    def _loss(self, step: int, outputs: Tensor, part: Batch) -> Tensor:
        """The mean loss of a part of a batch. With class weights, the mean over all parts is the sum of the weighted losses of
        the batch, divided by the sum of its weights: parts are not divided by their own weights, which differ.
        """
        smoothing = self.recipe.label_smoothing
        if self.class_weights is None:
            return F.cross_entropy(outputs, part.targets, label_smoothing=smoothing)
        weighted = F.cross_entropy(outputs, part.targets, self.class_weights, reduction="sum", label_smoothing=smoothing)
        return weighted * (self._batch_size(step) / (part.weight * len(part.labels)))

    def _update_weights(self) -> None:
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def _after_update(self, step: int) -> None:
        """Update the moving average, and end the warm-up once the training error is low enough."""
        if self.average is not None and self.recipe.ema is not None and (step + 1) % self.recipe.ema[1] == 0:
            self.average.update_parameters(self.module)
        warmup = self.recipe.warmup
        if warmup is None or warmup.until is None or self.progress.warm_end is not None:
            return
        if (step + 1) % WINDOW == 0 and self.sums.error_of_window(self.world) < warmup.until:
            self.progress.warm_end = step + 1

    def _batch_size(self, step: int) -> int:
        """Images in a step's batch over all processes; the last of an epoch may be smaller."""
        within = step % self.length.steps_per_epoch
        return min(self.recipe.batch_size, len(self.training.labels) - within * self.recipe.batch_size)

    def _syncing(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged after the last part of a batch only."""
        if self.world.size == 1 or last:
            return nullcontext()
        unsynced: AbstractContextManager[Any] = self.forward.no_sync()  # type: ignore[attr-defined]
        return unsynced

    def _share_statistics(self) -> None:
        """Every process takes the running statistics of the first, which are those that are kept."""
        for module in {id(self.module): self.module, id(self.weights): self.weights}.values():
            self.world.share(buffer for buffer in module.buffers())

    def _end_epoch(self) -> None:
        """Evaluate the first epoch that has no row yet, write its row, and save."""
        epoch = len(self.progress.rows) + 1
        self._share_statistics()
        self.divergence.check_weights(self.progress.step)
        validation, test = self._score(self.validation), self._score(self.test)
        loss, correct, seen = self.sums.totals(self.world)
        if not seen:
            message = f"no training image could be read in epoch {epoch}"
            raise DataError([Diagnostic("no-images", message, None, help="check that the data are still in their place")])
        lr = float(self.optimizer.param_groups[0]["lr"])
        row = make_row(epoch, self.progress.step, lr, loss / seen, correct / seen, validation, test)
        seconds = self.progress.epoch_seconds
        timing = Timing(epoch, seconds, seen / max(seconds, 1e-9), self.progress.seconds + self._seconds())
        best = self._add_row(row, timing)
        self.watcher.epoch_done(row, timing, validation or test, self.weights, best)
        self.save()
        if self.world.any(self.stop.requested) and not self.is_finished:
            raise Interrupted

    def _score(self, batches: EvaluationBatches | None) -> Scores | None:
        """Scores of the weights so far. Saves, and raises Interrupted, where the run is asked to stop."""
        if batches is None:
            return None
        stopped = lambda: self.stop.requested  # noqa: E731
        classes, precision = self.training.classes, self.recipe.precision
        try:
            return score(self.weights, batches, classes, self.device, precision, self.world, stopped)
        except Interrupted:
            self.save()
            raise

    def _add_row(self, row: EpochRow, timing: Timing) -> bool:
        """Append the row of an epoch, and decide whether its weights are the best and the run ends. Returns the former."""
        progress = self.progress
        best = row.validation_accuracy is not None and row.validation_accuracy > progress.best
        if best and row.validation_accuracy is not None:
            progress.best, progress.best_epoch = row.validation_accuracy, row.epoch
        progress.rows.append(row)
        progress.timings.append(timing)
        patience = self.recipe.patience
        if patience is not None and epochs_without_growth(progress.rows, self.recipe.min_delta) >= patience:
            progress.stopped_early = True
        progress.epoch_seconds = 0.0
        self.sums.reset()
        self.divergence.kept_epoch = row.epoch
        return best

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _save_is_due(self) -> bool:
        """Whether a checkpoint is to be written within an epoch."""
        recipe = self.recipe
        by_steps = recipe.save_steps is not None and self.progress.step % recipe.save_steps == 0
        late = recipe.save_minutes is not None and time.monotonic() - self._saved_at >= 60 * recipe.save_minutes
        return by_steps or (self.world.any(late) if recipe.save_minutes is not None and self.world.size > 1 else late)

    def save(self) -> None:
        """Give the state to the watcher. Raises TrainingError where weights are not finite: the last good state is kept."""
        self.divergence.look()
        state = self.state()
        if self.world.writes:
            self.divergence.check_weights(self.progress.step)
            self.watcher.save(self.progress.step, state, self.progress.rows, self.progress.timings)
        self.world.wait()  # a process that ended now would have torchrun end the others while one of them writes
        self._saved_at = time.monotonic()

    def state(self) -> dict[str, object]:
        """Everything that the rest of the run depends on, as plain types and tensors."""
        return {
            "format": FORMAT,
            "step": self.progress.step,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
            "averaged": 0 if self.average is None else int(self.average.n_averaged),
            **self.progress.state(self._seconds()),
            "sums": self.sums.state(self.world),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises KeyError, ValueError or RuntimeError where it is of another network or recipe."""
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
        self.progress = Progress.of_state(state)
        self.sums.restore(state["sums"], self.world)
        self.divergence.kept_epoch = self.progress.rows[-1].epoch if self.progress.rows else 0
