"""A plan of weights as a table, as lines of an error and as JSON: by cause, stage by stage, with repeated blocks collapsed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal, get_args

from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import display_width, pad, shorten
from resnet_spec.weights.planning import EXACT, Action, Plan, Step, shape_text

Counted = Literal["params", "macs"]
_FITTED: tuple[Action, ...] = ("sliced", "padded", "other shape")
_MOST_LINES = 24
_MOST_RANGES = 3  # of blocks in the name of a row
_WIDTH, _LEAST_WHY, _MOST_NAME = 100, 16, 40  # columns of the table, of its last column, and of a name
_HEADS = ("what", "tensors", "count", "in the file", "in the network", "parameters", "why")
_RIGHT = ("count", "parameters")


@dataclass(frozen=True, slots=True)
class PlanRow:
    """Tensors of one stage with which the same happens. `label` is a name, or a pattern with `*` for numbers."""

    action: Action
    label: str
    count: int
    stored: str
    shape: str
    params: int
    reason: str


def plan_rows(steps: Sequence[Step]) -> list[PlanRow]:
    """Group the steps of a plan: by what happens, in the order of `Action`, then by stage, then by name and shapes."""
    names = [step.name or step.source for step in steps]
    depth = _shared_depth(names)
    groups: dict[tuple[object, ...], list[Step]] = {}
    for step, name in zip(steps, names, strict=True):
        parts = name.split(".")
        stage = ".".join(parts[: depth + 1])
        pattern = ".".join("*" if part.isdigit() else part for part in parts)
        if len(step.shape) == 1 and step.action in _FITTED:  # the tensors of a norm are one row
            pattern = pattern.rpartition(".")[0] + ".*"
        shapes = (pattern, step.shape, step.stored) if _has_both(step) else ()
        groups.setdefault((step.action, step.reason, stage, *shapes), []).append(step)
    order = {action: place for place, action in enumerate(get_args(Action))}
    numbers = tuple(
        _list_numbers([name for name, step in zip(names, steps, strict=True) if bool(step.name) == is_own])
        for is_own in (False, True)
    )
    rows = [_row(group, depth, numbers[bool(group[0].name)]) for group in groups.values()]
    return sorted(rows, key=lambda row: order[row.action])


def _has_both(step: Step) -> bool:
    """Whether a tensor differs between file and network: it has a row for its shapes, others are in one row of their stage."""
    return bool(step.name and step.source) and step.action not in EXACT


def _row(group: Sequence[Step], depth: int, numbers: Mapping[str, set[str]]) -> PlanRow:
    first, alone = group[0], len(group) == 1
    label = _label([step.name or step.source for step in group], depth, numbers)
    has_shapes = alone or _has_both(first)
    stored = shape_text(first.stored) if has_shapes and first.source else ""
    shape = shape_text(first.shape) if has_shapes and first.name else ""
    params = sum(step.params for step in group)
    return PlanRow(first.action, label, len(group), stored, shape, params, first.reason)


def _list_numbers(names: Sequence[str]) -> dict[str, set[str]]:
    """The numbers that follow a beginning of names, by that beginning: the blocks of a stage."""
    found: dict[str, set[str]] = {}
    for name in names:
        parts = name.split(".")
        for at, part in enumerate(parts):
            if part.isdigit():
                found.setdefault(".".join(parts[:at]), set()).add(part)
    return found


def _label(names: Sequence[str], depth: int, numbers: Mapping[str, set[str]]) -> str:
    """What some names of a stage have in common: `layer3.6-22.*`, or `layer1.*.se.*`; a `*` is all that there is.

    `numbers` are all numbers that follow a beginning of names, in the network or in the file.
    """
    if len(names) == 1:
        return names[0]
    split = [name.split(".") for name in names]
    label = split[0][: depth + 1]
    for at in range(depth + 1, min(map(len, split))):
        found = {parts[at] for parts in split}
        if all(part.isdigit() for part in found):
            whole = set[str]().union(*(numbers.get(".".join(parts[:at]), ()) for parts in split))
            label.append("*" if found == whole else _ranges(found))
        elif len(found) == 1:
            label.append(split[0][at])
        else:
            label.append("*")
            break
    if len(label) < max(map(len, split)):
        label.append("*")
    while label[-2:] == ["*", "*"]:
        label.pop()
    if label[-1] == "*" and len(lasts := {parts[-1] for parts in split}) == 1 and len(label) < min(map(len, split)):
        label += lasts  # counters of batches, say
    return ".".join(label)


def _ranges(numbers: Iterable[str]) -> str:
    """Numbers as ranges: `6-22`, or `0-4,22`; `*` where they are scattered."""
    runs: list[list[int]] = []
    for number in sorted(int(each[:18]) for each in numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ",".join(texts) if len(texts) <= _MOST_RANGES else "*"


def _shared_depth(names: Sequence[str]) -> int:
    """How many parts all names begin with, without those behind a number: stages are one below."""
    if len(names) < 2:
        return 0
    parts = [name.split(".") for name in names]
    shortest = min(len(each) for each in parts)
    depth = next((i for i in range(shortest) if len({each[i] for each in parts}) > 1), shortest - 1)
    number = next((i for i in range(shortest) if any(each[i].isdigit() for each in parts)), shortest)
    return max(0, min(depth, number - 1))


def difference_lines(steps: Sequence[Step]) -> tuple[str, ...]:
    """What differs, as lines for the notes of an error."""
    lines = []
    for row in plan_rows(steps):
        what = f"`{printable(row.label)}`" + (f" ({row.count} tensors)" if row.count > 1 else "")
        match row.action:
            case "other shape":
                lines.append(f"other shape: {what} is {row.stored} in the file, {row.shape} in the network")
            case "other type":
                lines.append(f"other type: {what} is {row.reason}")
            case "unused":
                lines.append(f"unused: {what} is in the file alone" + (f", {row.stored}" if row.stored else ""))
            case _:
                lines.append(f"{row.action}: {what} is in the network alone" + (f", {row.shape}" if row.shape else ""))
    left = len(lines) - _MOST_LINES
    return tuple(lines) if left <= 0 else (*lines[:_MOST_LINES], f"and {left} more lines")


def plan_text(plan: Plan) -> str:
    """The table for a terminal, in 100 columns, and the shares of parameters below it."""
    cells = _cells(plan, lambda label: shorten(label, _MOST_NAME))
    widths = [max(display_width(line[i]) for line in cells) for i in range(len(cells[0]))]
    right = [head in _RIGHT for head in cells[0]]
    pieces = [[line[-1]] for line in cells]
    if cells[0][-1] == _HEADS[-1]:
        most = max(_LEAST_WHY, _WIDTH - sum(widths[:-1]) - 2 * (len(widths) - 1))
        pieces = [wrap(line[-1], most, break_on_hyphens=False) or [""] for line in cells]
        widths[-1] = max(display_width(piece) for each in pieces for piece in each)
    lines = []
    for line, each in zip(cells, pieces, strict=True):
        blank = [""] * (len(line) - 1)
        rows = [(*line[:-1], each[0]), *((*blank, piece) for piece in each[1:])]
        lines += ["  ".join(map(pad, row, widths, right)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += ["", *shares_lines(plan)]
    for note in plan.notes:
        lines += wrap(f"note: {printable(note)}", _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def plan_markdown(plan: Plan, mark: Callable[[str], str]) -> str:
    """The same as Markdown. `mark` makes a code span of untrusted text."""
    heads, *body = _cells(plan, lambda label: mark(shorten(label, _MOST_NAME)))
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---:' if head in _RIGHT else '---' for head in heads)} |"]
    for line in body:
        why = line[-1] if "`" not in line[-1] else mark(line[-1])  # it contains a name of the file
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in [*line[:-1], why]) + " |")
    lines += ["", *(f"- {line}" for line in shares_lines(plan)), *(f"- note: {mark(printable(note))}" for note in plan.notes)]
    return "\n".join(lines) + "\n"


def _cells(plan: Plan, mark: Callable[[str], str]) -> list[list[str]]:
    """The table: its heads, and its rows. Columns of which every cell is empty are left out."""
    body = [
        (
            *(row.action, mark(row.label), f"{row.count:,}", row.stored, row.shape),
            *(f"{row.params:,}" if row.params else "", printable(row.reason)),
        )
        for row in plan_rows(plan.steps)
    ]
    used = [i for i in range(len(_HEADS)) if any(line[i] for line in body)]
    return [[line[i] for i in used] for line in (_HEADS, *body)]


def shares_lines(plan: Plan) -> list[str]:
    """The shares of parameters and of multiply-adds, a line each."""
    lines = [f"of the parameters: {_shares_text(plan, 'params')}"]
    if any(step.macs for step in plan.steps):
        lines.append(f"of the multiply-adds: {_shares_text(plan, 'macs')}")
    return lines


def _shares_text(plan: Plan, of: Counted) -> str:
    return ", ".join(f"{_percent(share)} {action}" for action, share in shares(plan, of).items())


def _percent(share: float) -> str:
    """A share with two decimals; not 0 or 100 for what is nearly that."""
    return f"{min(max(100 * share, 0.01), 99.99):.2f}%" if 0 < share < 1 else f"{100 * share:.0f}%"


def shares(plan: Plan, of: Counted = "params") -> dict[str, float]:
    """The share of parameters of the network, 0 to 1, by what happens with them; or of multiply-adds, by their weights."""
    found = {action: plan.share(action, of=of) for action in get_args(Action) if plan.of(action)}
    return {action: share for action, share in found.items() if share and any(getattr(step, of) for step in plan.steps)}


def plan_data(plan: Plan, transfer: bool = False) -> dict[str, object]:
    """The plan as plain data, for JSON: the shares, the rows of the table, and every tensor."""
    return {
        "exact": plan.exact,
        "accepted": plan.accepted(transfer),
        "parameters": _counts(plan, "params"),
        "percent": {action: 100 * share for action, share in shares(plan).items()},
        "multiply_adds": _counts(plan, "macs"),
        "percent_of_multiply_adds": {action: 100 * share for action, share in shares(plan, "macs").items()},
        "notes": list(plan.notes),
        "rows": [
            {
                "action": row.action,
                "tensors": row.label,
                "count": row.count,
                "parameters": row.params,
                **{
                    key: value for key, value in (("stored", row.stored), ("shape", row.shape), ("reason", row.reason)) if value
                },
            }
            for row in plan_rows(plan.steps)
        ],
        "tensors": [
            {
                "action": step.action,
                "name": step.name or None,
                "source": step.source or None,
                "shape": list(step.shape) if step.name else None,
                "stored": list(step.stored) if step.source else None,
            }
            for step in plan.steps
        ],
        "renaming": [
            {
                "name": pair.own.name,
                "source": pair.source.name,
                "certainty": pair.certainty,
                "others": list(pair.others),
            }
            for pair in plan.renaming
        ],
    }


def _counts(plan: Plan, of: Counted) -> dict[str, int]:
    counts = {action: sum(getattr(step, of) for step in plan.of(action)) for action in get_args(Action)}
    return {"total": sum(counts.values()), **counts}
