"""Recipes: every shipped one, changed, and read as `train` reads it."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import yaml

from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.diagnostics.rendering import MESSAGE_FORMATS, render
from resnet_spec.language.library import shipped_root
from resnet_spec.training.recipe.reader import read_recipe
from tests.compatibility.command_line import inside
from tests.fuzz import Limits, Outcome, Wrong
from tests.fuzz.documents import dump, mutate, nudge, scramble

TESTS = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class RecipeCase:
    """A text, and the patches of `--set-recipe`."""

    text: bytes
    sets: tuple[str, ...]


class Recipes:
    """The target. What is accepted is written, and read again as the same."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(2.0 if "CI" not in os.environ else 4.0)
        self.folder = folder

    @cached_property
    def texts(self) -> list[bytes]:
        """The recipes that cases begin from."""
        shipped, used = shipped_root("recipe").rglob("*.yaml"), (TESTS / "compatibility" / "runs").glob("*/recipe.yaml")
        return [path.read_bytes() for path in (*sorted(shipped), *sorted(used))]

    @cached_property
    def documents(self) -> list[Any]:
        """The same as data."""
        return [yaml.safe_load(text) for text in self.texts]

    def draw(self, chance: Random) -> RecipeCase:
        """A recipe with one to four changes."""
        changes = chance.choice((1, 1, 1, 2, 2, 4))
        kind = chance.random()
        if kind < 0.75:
            document = deepcopy(chance.choice(self.documents))
            for _ in range(changes):
                if kind < 0.4:
                    nudge(document, chance)
                else:
                    mutate(document, self.documents, chance)
            text = dump(document)
        else:
            text = chance.choice(self.texts)
            for _ in range(changes):
                text = scramble(text, self.texts, chance)
        sets = (chance.choice(("optimizer.lr=1e308", "epochs=3", "schedule=", "warmup=", "optimizer={op: adamw, lr: 0.1}")),)
        return RecipeCase(text, sets if chance.random() < 0.2 else ())

    def check(self, case: RecipeCase) -> Outcome:
        """The recipe is read, or refused with findings that every format can show."""
        path = self.folder / "case.yaml"
        path.write_bytes(case.text)
        with inside(self.folder):
            try:
                recipe = read_recipe("case.yaml", case.sets)
            except ResnetSpecError as error:
                if not error.diagnostics or not str(error):
                    raise Wrong("an error without findings") from None
                for how in MESSAGE_FORMATS:
                    shown = render(error.diagnostics, how)
                    if how in ("json", "sarif"):
                        json.loads(shown)
                    elif any(not (c.isprintable() or c == "\n") for c in shown):
                        raise Wrong(f"{shown!r}\na control character in the format {how}") from None
                return Outcome(accepted=False)
            again = read_recipe(recipe.text)
            if again.text != recipe.text:
                raise Wrong(f"{recipe.text}\n---\n{again.text}\nwritten and read again it is another recipe")
            return Outcome(accepted=True, compared=True)

    def write(self, case: RecipeCase, path: Path) -> None:
        """The text as a file, and the patches beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.yaml").write_bytes(case.text)
        path.with_name(f"{path.name}.how.txt").write_text("\n".join(case.sets), encoding="utf-8")
