"""Names in generated source: of attributes, variables, parameters and classes."""

from __future__ import annotations

import keyword
import re

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What torch's containers have, and nn.Module does not: names that a child of them cannot have.
SEQUENTIAL_ATTRIBUTES = frozenset(("append", "extend", "insert", "pop"))
DICT_ATTRIBUTES = frozenset(("clear", "items", "keys", "pop", "update", "values"))
# How papers write the names of networks and blocks; the longer ones first.
CAPITALS = (
    *("SEResNeXt", "SEResNet", "ECAResNeXt", "ECAResNet", "ResNeXt", "ResNeSt", "ResNet", "Res2Net", "DenseNet", "ConvNeXt"),
    *("EfficientNet", "MobileNet", "ShuffleNet", "SqueezeNet", "GoogLeNet", "GhostNet", "RegNet", "HRNet", "SENet", "VGG"),
    *("RepVGG", "UNet", "MBConv"),
)
_USUAL = {word.casefold(): word for word in CAPITALS}
SHORT = 5  # letters of a label that says too little alone
MODULE_NAMES = frozenset(
    """
    annotations math OrderedDict Path torch nn F Tensor build init_weights self super bool dict enumerate float int Any
    isinstance len list module name range str tuple zip outputs x out i state model weights print
    """.split()  # noqa: SIM905
)


def is_attribute(name: str) -> bool:
    """Whether `self.NAME` refers to a child of that name; private names of classes are changed by Python."""
    return _IDENTIFIER.fullmatch(name) is not None and not keyword.iskeyword(name) and not name.startswith("__")


class Namespace:
    """Names that are each given once."""

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self.taken = set(MODULE_NAMES | taken)

    def give(self, wanted: str) -> str:
        """A name as wanted, or with a number where that is taken."""
        name, number = wanted, 1
        while name in self.taken or keyword.iskeyword(name):
            number += 1
            name = f"{wanted}_{number}" if wanted[-1:].isdigit() else f"{wanted}{number}"
        self.taken.add(name)
        return name


def variable(name: str) -> str:
    """A name of the spec as a variable: `block1-0` as `block1_0`."""
    made = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower()
    if not made:
        return "value"
    return f"x{made}" if made[0].isdigit() else made


def network_name(name: str, about: str) -> str:
    """The name of a network as a class, with the capitals of its description: `GoogLeNet`, `ResNeXt50_32x4d`."""
    letters_of_name = re.sub(r"[^0-9A-Za-z]", "", name)
    for word in about.split():
        written = re.sub(r"[^0-9A-Za-z]", "", word)
        if letters_of_name and written.casefold() == letters_of_name.casefold() and written[0].isupper():
            letters = iter(written)
            return _join("".join(next(letters) if character in letters_of_name else character for character in name))
    return class_name(name, is_block=False)


def class_name(label: str, is_block: bool = True) -> str:
    """`inverted_residual` as `InvertedResidual`, `basic` as `BasicBlock`, `resnext50_32x4d` as `ResNeXt50_32x4d`."""
    made = _join(label)
    made = re.sub("|".join(CAPITALS), lambda match: _USUAL[match.group().casefold()], made, flags=re.IGNORECASE)
    if not made or made[0].isdigit():
        made = f"Block{made}"
    is_short = made.isalnum() and len(label) <= SHORT and made != "Block"
    return f"{made}Block" if is_block and is_short else made


def _join(label: str) -> str:
    """Words with capitals in one word; what begins with a digit is set off."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", label) if word]
    made = "".join(f"_{word}" if word[0].isdigit() else word[0].upper() + word[1:] for word in words)
    return made.lstrip("_")
