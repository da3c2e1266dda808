"""A difference as text for a terminal, as Markdown for a pull request, and as plain data.

Names, paths and values of a spec are untrusted: in text they are printable and short, in Markdown they are code spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TypeVar

from resnet_spec.analysis.memory import bytes_text
from resnet_spec.comparison.difference import Cause, Difference, Effect, NetworkFacts
from resnet_spec.comparison.parts import Part
from resnet_spec.comparison.settings import Setting
from resnet_spec.diagnostics.text import count_text, display_width, pad, shorten
from resnet_spec.language.writer import write_value
from resnet_spec.ops import Shape, show

DATA_VERSION = 1
COLUMNS = 100
MOST_CAUSES, MOST_SETTINGS, MOST_PARTS, MOST_PARTS_OF_CAUSE = 24, 12, 30, 3  # in text and Markdown
MOST_NAMES = 200  # of a part, in data
Mark = Callable[[str], str]  # marks untrusted text, which is printable and short, for a format


def difference_line(difference: Difference) -> str:
    """One line: `resnet50 -> resnet101, 1 cause, +18.99M parameters, +3.712G multiply-adds`."""
    names = " -> ".join(shorten(label, 40) for label in difference.labels)
    if difference.equal:
        return f"{names}, equal"
    causes = [cause for cause in difference.causes if not cause.defines]
    return ", ".join([names, count_text(len(causes), "cause"), *_costs(difference.params, difference.macs)])


def difference_text(difference: Difference) -> str:
    """The difference in at most 100 columns."""
    before, after = (shorten(label, 46) for label in difference.labels)
    if difference.equal:
        return f"{before} and {after} are the same network\n" + _written(difference) + _runs_text(difference)
    lines = [f"{before} -> {after}", ""]
    lines += _list_lines(list(_cause_items(difference, str)))
    if where := _where_items(difference, str):
        lines += ["", "where they differ", *_list_lines([(item, []) for item in where])]
    rows, same, rest = _totals(difference.facts, str)
    lines += ["", *_table(rows)]
    lines += [line for text in rest for line in _fold(text, "")]
    if same:
        lines += _fold("the same: " + ", ".join(same), "")
    return "\n".join(lines) + "\n" + _runs_text(difference)


def _runs_text(difference: Difference) -> str:
    lines = [] if difference.runs is None else list(difference.runs.lines(str))
    return "\n".join(["", "the runs", *(f"  {line}" for line in lines)]) + "\n" if lines else ""


def difference_markdown(difference: Difference) -> str:
    """The difference as Markdown. Everything that comes from a spec is in code spans."""
    before, after = (code_span(shorten(label, 80)) for label in difference.labels)
    if difference.equal:
        return f"{before} and {after} are the same network.\n" + _runs_markdown(difference)
    lines = [f"**{before} → {after}**", ""]
    for item, inside in _cause_items(difference, code_span):
        lines += [f"- {item}", *(f"  - {each}" for each in inside)]
    if where := _where_items(difference, code_span):
        lines += ["", "Where they differ:", "", *(f"- {item}" for item in where)]
    rows, same, rest = _totals(difference.facts, code_span)
    lines += ["", "| | before | after | difference |", "| --- | ---: | ---: | ---: |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", *(f"- {text}" for text in rest)]
    if same:
        lines.append(f"- the same: {', '.join(same)}")
    return "\n".join(lines) + "\n" + _runs_markdown(difference)


def _runs_markdown(difference: Difference) -> str:
    lines = [] if difference.runs is None else list(difference.runs.lines(code_span))
    return "\n".join(["", "The runs:", "", *(f"- {line}" for line in lines)]) + "\n" if lines else ""


def code_span(text: str) -> str:
    """Printable text as a code span, which nothing in it can end."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}"


# --- causes -----------------------------------------------------------------------------------------------------------------


def _written(difference: Difference) -> str:
    """A line about specs that differ, and describe the same network."""
    settings = [".".join(setting.path) for cause in difference.causes for setting in cause.settings]
    return (
        f"their specs differ in what has no effect: {_first([shorten(path, 40) for path in settings], 3)}\n" if settings else ""
    )


def _cause_items(difference: Difference, mark: Mark) -> Iterator[tuple[str, list[str]]]:
    """A line for each cause, with the lines below it. Causes without an effect are the last line."""
    shown = [cause for cause in difference.causes if not cause.defines and not (cause.effect and cause.effect.nothing)]
    idle = [cause for cause in difference.causes if cause.effect and cause.effect.nothing and not cause.defines]
    tried = any(cause.effect is not None for cause in shown)
    whole = len(shown) == 1
    for cause in shown[:MOST_CAUSES]:
        lines = [_setting_text(setting, mark) for setting in cause.settings[:MOST_SETTINGS]]
        if (left := len(cause.settings) - len(lines)) > 0:
            lines.append(f"and {count_text(left, 'more setting')}")
        most = MOST_PARTS if whole else MOST_PARTS_OF_CAUSE
        effects = list(_effect_lines(cause, mark, most, tried))
        if len(lines) == 1:
            yield lines[0], effects
        else:
            yield _title(cause, mark), [*lines, *effects]
    if (left := len(shown) - MOST_CAUSES) > 0:
        yield f"and {count_text(left, 'more cause')}, which `--format json` lists", []
    for name, causes in (("definitions", [c for c in difference.causes if c.defines]), ("without effect", idle)):
        for_each = [_setting_text(setting, mark, 24) for cause in causes for setting in cause.settings]
        if for_each:
            yield f"{name}: {_first(for_each, 4, '; ')}", []
    if not difference.causes:
        yield "their specs have the same settings, but other outputs or sizes were requested", []


def _title(cause: Cause, mark: Mark) -> str:
    path = cause.settings[0].path
    return mark(shorten(".".join(path[:2] if path[0] == "blocks" else path[:1]), 60))


def _setting_text(setting: Setting, mark: Mark, most: int = 60) -> str:
    """`stages.layer3.depth  6 -> 23`."""
    path = mark(shorten(".".join(setting.path), 60))
    before, after = mark(_value(setting.before, most)), mark(_value(setting.after, most))
    match setting.kind:
        case "added":
            return f"{path} added: {after}"
        case "removed":
            return f"{path} removed: {before}"
        case "renamed":
            return f"{path} renamed to {after}"
        case "moved":
            return f"the entries of {path} are in another order: {after}"
        case _:
            return f"{path}: {before} -> {after}"


def _value(value: object, most: int) -> str:
    return shorten(value if isinstance(value, str) and value else write_value(value), most)


def _effect_lines(cause: Cause, mark: Mark, most: int, tried: bool) -> Iterator[str]:
    effect = cause.effect
    if effect is None:
        if tried:
            yield "works only together with other changes"
        return
    texts = [_part_text(part, mark) for part in effect.parts[:most]]
    if len(texts) == 1:
        yield texts[0]
    else:
        yield from texts
        if (left := len(effect.parts) - most) > 0:
            yield f"and {count_text(left, 'more difference')}"
        if costs := _costs(effect.params, effect.macs):
            yield "in all " + ", ".join(costs)
    yield from _other_effects(effect)
    if effect.last:
        yield "this is its effect after all other changes"


def _other_effects(effect: Effect) -> Iterator[str]:
    if effect.input:
        yield "images of another size"
    if effect.outputs:
        yield "another output"
    if effect.init:
        yield "weights are initialized by another method"
    if effect.recipe:
        yield "another recipe is used by default"


# --- parts ------------------------------------------------------------------------------------------------------------------


def _where_items(difference: Difference, mark: Mark) -> list[str]:
    """The parts, where they are not just those of the causes."""
    parts = [part for cause in difference.causes if cause.effect is not None for part in cause.effect.parts]
    if len(parts) == len(difference.parts) and set(parts) == set(difference.parts):
        return []
    found = [_part_text(part, mark) for part in difference.parts[:MOST_PARTS]]
    if (left := len(difference.parts) - MOST_PARTS) > 0:
        found.append(f"and {count_text(left, 'more difference')}, which `--format json` lists")
    return found


def _part_text(part: Part, mark: Mark) -> str:
    """`17 more blocks bottleneck in layer3 (layer3.6 ... layer3.22): +18.99M parameters, +3.712G multiply-adds`."""
    what, count = mark(shorten(part.what, 40)), part.count
    names = _names(part.names, mark)
    costs = _costs(part.params, part.macs)
    cost = f": {', '.join(costs)}" if costs else ""
    match part.kind:
        case "added" | "removed":
            amount = f"{count:,} {'more' if part.kind == 'added' else 'fewer'}"
            if not part.is_block:
                return f"{amount} {what} ({names}){cost}"
            within = f" in {mark(shorten(part.within, 30))}" if part.within else ""
            return f"{amount} {what} {'block' if count == 1 else 'blocks'}{within} ({names}){cost}"
        case "changed":
            return f"{count:,} x {changes_text(part, mark)} ({names}){cost}"
        case "resized":
            return f"{count_text(count, 'operation')} of other sizes as a consequence ({names}){cost}"
        case "rewired":
            return f"{count_text(count, 'operation')} with other inputs ({names})"
        case "renamed":
            pairs = [
                f"{mark(shorten(one, 40))} -> {mark(shorten(other, 40))}"
                for one, other in zip(part.names, part.partners, strict=True)
            ]
            return f"{count_text(count, 'operation')} with other names ({_first(pairs, 2)})"


def changes_text(part: Part, mark: Mark = str) -> str:
    """`relu -> silu`, or `conv2d with kernel_size 7 -> 3, stride 2 -> 1`."""
    texts = [(name, " -> ".join(mark(_field(value)) for value in (one, other))) for name, one, other in part.changes]
    if not texts[0][0]:
        return ", ".join(f"{name} {values}".lstrip() for name, values in texts)
    return f"{mark(part.what)} with " + ", ".join(f"{name} {values}" for name, values in texts)


def _field(value: object) -> str:
    """A field of an operation, as a spec writes it; a pair of equal numbers as one."""
    if isinstance(value, tuple):
        value = value[0] if len(set(value)) == 1 and len(value) == 2 else list(value)
    return _value(value if value != "" else "default", 40)


def _names(names: Sequence[str], mark: Mark) -> str:
    """`layer3.6 ... layer3.22`."""
    shown = [mark(shorten(name, 30)) for name in (names if len(names) < 3 else (names[0], names[-1]))]
    return (", " if len(names) < 3 else " ... ").join(shown)


Thing = TypeVar("Thing")


def _first(texts: Sequence[str], most: int, between: str = ", ") -> str:
    return between.join(texts[:most]) + (f"{between}and {len(texts) - most:,} more" if len(texts) > most else "")


# --- totals -----------------------------------------------------------------------------------------------------------------


def _totals(
    facts: tuple[NetworkFacts, NetworkFacts], mark: Mark
) -> tuple[list[tuple[str, str, str, str]], list[str], list[str]]:
    """Rows of numbers that differ; the names of what is the same; and lines about what differs and is no number."""
    one, other = facts
    numbers: list[tuple[str, int, int, Callable[[int], str]]] = [
        ("parameters", one.params, other.params, "{:,}".format),
        ("multiply-adds", one.macs, other.macs, "{:,}".format),
        ("other arithmetic", one.other_ops, other.other_ops, "{:,}".format),
        ("buffer values", one.buffers, other.buffers, "{:,}".format),
        ("operations", one.operations, other.operations, "{:,}".format),
        ("memory in training", one.memory.training, other.memory.training, bytes_text),
        ("memory in inference", one.memory.inference, other.memory.inference, bytes_text),
    ]
    texts = [
        ("input", show(one.input), show(other.input)),
        ("output", show(one.output), show(other.output)),
        ("named outputs", _outputs(one.outputs), _outputs(other.outputs)),
        ("accepted sizes", one.accepts, other.accepts),
        ("initialization", one.init, other.init),
        ("recipe", one.recipe or "none", other.recipe or "none"),
        ("fingerprint", one.fingerprint, other.fingerprint),
    ]
    rows = [(name, form(a), form(b), _change(a, b, form)) for name, a, b, form in numbers if a != b]
    same = [name for name, a, b, _ in numbers if a == b]
    same += [name for name, before, after in texts if before == after and before]
    rest = [
        f"{name}: {mark(shorten(before, 200) or 'none')} -> {mark(shorten(after, 200) or 'none')}"
        for name, before, after in texts
        if before != after
    ]
    return rows, same, rest


def _outputs(outputs: Iterable[tuple[str, Shape, bool]]) -> str:
    return ", ".join(f"{shorten(name, 24)} {show(shape)}{' in training' if only else ''}" for name, shape, only in outputs)


def _change(before: int, after: int, form: Callable[[int], str]) -> str:
    sign = "+" if after > before else "-"
    percent = f" ({100 * (after - before) / before:+.1f}%)" if before else ""
    return f"{sign}{form(abs(after - before))}{percent}"


def _costs(params: int, macs: int) -> list[str]:
    pairs = ((params, "parameters"), (macs, "multiply-adds"))
    return [f"{_short(count)} {what}" for count, what in pairs if count]


def _short(count: int) -> str:
    """`+18.99M`."""
    value = float(abs(count))
    units = ["", "k", "M", "G", "T"]
    while value >= 999.95 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{'+' if count > 0 else '-'}{value:.4g}{units[0]}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    body = [("", "before", "after", "difference"), *rows]
    widths = [max(display_width(row[column]) for row in body) for column in range(4)]
    return [
        "  ".join(pad(cell, width, at > 0) for at, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in body
    ]


def _list_lines(items: Iterable[tuple[str, list[str]]]) -> list[str]:
    lines: list[str] = []
    for item, inside in items:
        lines += _fold(item, "  ")
        for each in inside:
            lines += _fold(each, "    ")
    return lines


def _fold(text: str, indent: str) -> list[str]:
    """A text in lines of at most 100 columns, of which the first is indented less. Longer words are cut."""
    lines: list[str] = []
    line, start = "", indent
    for word in text.split(" "):
        if line and display_width(f"{start}{line} {word}") > COLUMNS:
            lines.append(start + line)
            line, start = "", indent + "    "
        line = f"{line} {word}" if line else shorten(word, COLUMNS - len(indent) - 4)
    return [*lines, start + line]


# --- data -------------------------------------------------------------------------------------------------------------------


def difference_data(difference: Difference) -> dict[str, object]:
    """The difference as plain data, with keys that are stable within a version."""
    before, after = difference.facts
    return {
        "version": DATA_VERSION,
        "equal": difference.equal,
        "before": _facts_data(before),
        "after": _facts_data(after),
        "causes": [
            {
                "settings": [
                    {"path": list(each.path), "kind": each.kind, "before": each.before, "after": each.after}
                    for each in cause.settings
                ],
                "effect": None if cause.effect is None else _effect_data(cause.effect),
            }
            for cause in difference.causes
        ],
        "parts": [_part_data(part) for part in difference.parts],
        **({} if difference.runs is None else {"runs": difference.runs.to_data()}),
    }


def _facts_data(facts: NetworkFacts) -> dict[str, object]:
    data = asdict(facts)
    data["outputs"] = {name: {"shape": shape, "training_only": only} for name, shape, only in facts.outputs}
    data["memory"] = {**data["memory"], "training": facts.memory.training, "inference": facts.memory.inference}
    return data


def _effect_data(effect: Effect) -> dict[str, object]:
    return {
        "params": effect.params,
        "macs": effect.macs,
        "input": effect.input,
        "outputs": effect.outputs,
        "init": effect.init,
        "recipe": effect.recipe,
        "last": effect.last,
        "parts": [_part_data(part) for part in effect.parts],
    }


def _part_data(part: Part) -> dict[str, object]:
    return {
        "kind": part.kind,
        "what": part.what,
        "within": part.within,
        "is_block": part.is_block,
        "changes": [{"field": name, "before": before, "after": after} for name, before, after in part.changes],
        "count": part.count,
        "names": list(part.names[:MOST_NAMES]),
        "partners": list(part.partners[:MOST_NAMES]),
        "params": part.params,
        "macs": part.macs,
    }
