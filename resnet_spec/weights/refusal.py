"""Plans that are refused: what differs between weights and a network, in one finding."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import Diagnostic, WeightsError, printable
from resnet_spec.weights.metadata import from_metadata
from resnet_spec.weights.plan_report import difference_lines
from resnet_spec.weights.planning import COPIED, EXACT, STARTING, TRANSFER, Plan, Step
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.source import WeightsLike, suggest_spec

SHOWN = 3  # the number of differing tensors that a message names


class WeightsMismatchError(WeightsError, RuntimeError):
    """The keys or shapes of a file are not those of the network. Also a RuntimeError, as `load_state_dict` raises."""


def require_exact(plan: Plan, path: WeightsLike, name: str) -> None:
    """Raise WeightsMismatchError if a plan is not exact."""
    if differing := plan.outside(EXACT):
        raise WeightsMismatchError([_other_weights(path, name, differing, _help_exact(plan), plan.notes)])


def _help_exact(plan: Plan) -> str:
    """What to do about a plan that is not exact."""
    if plan.renaming:
        return (
            "write the map of keys with `build SPEC --weights FILE --plan-only -o map.yaml`, read it, and pass "
            "`--map map.yaml` (weights_map=) to `build` or `train`"
        )
    if plan.beginning and {step.action for step in plan.outside(EXACT)} == {"unused"}:
        part = printable(plan.beginning.rstrip("."))
        return f"`--weights-key {part}` (weights_key=) takes the tensors of this part alone"
    return _classes_help(plan.outside(EXACT))


def _classes_help(differing: Sequence[Step]) -> str:
    """The way out where tensors differ in nothing but the number of classes."""
    counts = {step.stored[0] for step in differing if step.action == "other shape" and step.stored and step.shape}
    in_rows = all(step.action == "other shape" and step.stored[1:] == step.shape[1:] for step in differing)
    return other_classes_help(counts.pop()) if in_rows and len(counts) == 1 else ""


def other_classes_help(classes: int) -> str:
    """The way out for weights of another number of classes."""
    return f"they are for {classes:,} classes: `--set classes={classes}` builds the network for them"


def require_start(plan: Plan, path: WeightsLike, name: str, transfer: bool = False) -> None:
    """Raise WeightsMismatchError if training does not start from a plan: more differs than is adapted."""
    wrong = plan.outside(TRANSFER if transfer else STARTING)
    if wrong:
        help = "use weights of this spec, or none; `--transfer` keeps what both networks have, and draws the rest"
        if plan.renaming:
            help = _help_exact(plan)
        raise WeightsMismatchError([_other_weights(path, name, wrong, help, plan.notes)])
    if not plan.of(*COPIED):
        message = f"{printable(str(path))} has no tensor of {printable(name)}: no name and shape is equal"
        raise WeightsMismatchError([Diagnostic("other-weights", message, None, help="use weights of this spec, or none")])


def require_consistent(plan: Plan, analysis: Analysis, weights: StoredWeights, path: WeightsLike) -> None:
    """Raise WeightsMismatchError if the metadata of a file say that it is of this network, and its tensors are others."""
    wrong = plan.outside(EXACT)
    if plan.mapped or not wrong or from_metadata(weights.metadata).get("fingerprint") != analysis.fingerprint:
        return
    name = printable(analysis.spec.name)
    message = f"{printable(str(path))} says that it holds the weights of {name}, but its tensors are others: "
    message += "; ".join(step.describe() for step in wrong[:SHOWN])
    help = "it is damaged, or was changed and kept the metadata of another file: write it again"
    raise WeightsMismatchError([Diagnostic("other-weights", message, None, help=help, notes=difference_lines(wrong))])


def _other_weights(
    path: WeightsLike, name: str, differing: Sequence[Step], help: str = "", more_notes: tuple[str, ...] = ()
) -> Diagnostic:
    """The finding for weights of another network: the first differences in its message, all of them by stage in its notes."""
    more = f", and {len(differing) - SHOWN} more differ" if len(differing) > SHOWN else ""
    message = f"{printable(str(path))} holds the weights of another network than {printable(name)}: "
    message += "; ".join(step.describe() for step in differing[:SHOWN]) + more
    notes = (*(difference_lines(differing) if more else ()), *more_notes, *filter(None, [suggest_spec(path, name)]))
    return Diagnostic("other-weights", message, None, help=help, notes=notes)
