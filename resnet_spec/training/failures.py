"""Errors of torch and of the system that the user can do something about, as errors that say what."""

from __future__ import annotations

from resnet_spec.diagnostics import Diagnostic, ResnetSpecError, TrainingError, printable
from resnet_spec.training.amounts import count_text, megabytes
from resnet_spec.training.memory import MemoryEstimate
from resnet_spec.training.recipe import Recipe

# Parts of the messages of torch and the system, on any device, when memory runs out; and of torch when a worker is lost.
OUT_OF_MEMORY = ("out of memory", "not enough memory", "llocate memory", "CUDNN_STATUS_ALLOC_FAILED")
WORKER_LOST = ("DataLoader worker", "shared memory", "shm", "bus error", "unable to write to file </torch_")
ONE_VALUE = "Expected more than 1 value per channel"
OVERFLOW = "without overflow"  # torch, of a number that a tensor's type does not have


def explain(error: Exception, recipe: Recipe, memory: MemoryEstimate) -> ResnetSpecError | None:
    """An error during training as one that says what to do; None where it is of another kind."""
    text = str(error)
    if any(words in text for words in WORKER_LOST):
        message = f"a process that reads images has ended, or could not pass them on: {printable(text.splitlines()[0])}"
        help = (
            "most often it had too little memory or shared memory (/dev/shm): continue with `--workers 0` or fewer; "
            "in a container, raise `--shm-size`"
        )
        return TrainingError([Diagnostic("worker-lost", message, None, help=help)])
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        message = f"there is not enough memory for a batch of {count_text(recipe.batch_size, 'image')}"
        if (needed := memory.needed(recipe.batch_size)) is not None:
            message += f", which takes about {megabytes(needed)}"
        return TrainingError([Diagnostic("beyond-memory", message, None, help=memory.suggest_less())])
    if isinstance(error, ValueError) and ONE_VALUE in text:
        message = "a batch norm cannot normalize one value per channel: a batch has a single image"
        help = "`--batch-size` of 2 or more for each part, or group norm: `--set 'norm={op: group_norm, num_groups: 8}'`"
        return recipe.refuse("recipe-batch", message, "batch_size", help=help)
    if isinstance(error, ArithmeticError) or OVERFLOW in text:
        message = f"a number of the optimizer is no longer finite: {printable(text.splitlines()[0] if text else 'overflow')}"
        help = f"a lower learning rate often helps: `--lr {min(recipe.lr / 10, 0.1):g}`"
        return TrainingError([Diagnostic("loss-not-finite", message, recipe.place("optimizer", "lr"), help=help)])
    return None
