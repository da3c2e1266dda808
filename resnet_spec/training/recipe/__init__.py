"""A recipe: how a network is trained, as data. Nothing here imports torch.

`read_recipe` reads one from a file, a shipped name, YAML text or a dict, applies patches, and checks it against
`recipe.schema.json`. `Recipe` keeps the place of every value, for errors that are only found later.
"""

from resnet_spec.training.recipe.changes import (
    OVERFIT_EPOCHS,
    follow_input,
    reduce_to_one_batch,
    set_epochs,
    settle_precision,
)
from resnet_spec.training.recipe.model import (
    Augment,
    ClassWeights,
    Interpolation,
    Precision,
    Recipe,
    RecipeLike,
    Schedule,
    Statistic,
    Unit,
    Warmup,
)
from resnet_spec.training.recipe.reader import read_recipe, read_recipe_source

__all__ = [
    "OVERFIT_EPOCHS",
    "Augment",
    "ClassWeights",
    "Interpolation",
    "Precision",
    "Recipe",
    "RecipeLike",
    "Schedule",
    "Statistic",
    "Unit",
    "Warmup",
    "follow_input",
    "read_recipe",
    "read_recipe_source",
    "reduce_to_one_batch",
    "set_epochs",
    "settle_precision",
]
