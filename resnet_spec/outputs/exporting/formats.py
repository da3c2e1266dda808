"""The formats that networks are exported to, by suffix: what each is, what it needs, and which options it takes.

Importing this module imports neither torch nor what a format needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from resnet_spec._system.packages import is_installed, name_distribution
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.suggestions import closest
from resnet_spec.diagnostics.text import join_words

Dtype = Literal["fp32", "fp16", "bf16"]
Layout = Literal["nhwc", "nchw"]
Dynamic = Literal["batch", "size"]

OPTIONS = {  # of Python; on the command line `--channels-last`
    "dynamic": "--dynamic size",
    "opset": "--opset",
    "dtype": "--dtype",
    "channels_last": "--channels-last",
    "preprocessing": "--with-preprocessing",
    "snippet": "--snippet",
}


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        suffix: the end of the file's name, without the dot.
        about: what the file is, in a few words.
        modules: what must be installed to write and verify it, by the names to import.
        extra: the extra of this package that installs them; empty if they come with it.
        module: the module of this package whose `write` writes it.
        options: those of OPTIONS that it takes.
        reasons: why it does not take the others, as the end of a sentence that begins with the suffix.
    """

    suffix: str
    about: str
    modules: tuple[str, ...]
    extra: str
    module: str
    options: frozenset[str]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether the file computes the outputs, those of evaluation alone; others hold what training needs, too."""
        return "snippet" in self.options

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that are not installed."""
        return tuple(module for module in self.modules if not is_installed(module))

    @property
    def install(self) -> str:
        """The command that installs what is missing."""
        extra = f" (the extra `{self.extra}`)" if self.extra else ""
        return f"pip install {' '.join(map(name_distribution, self.missing))}{extra}"


_TENSORS_ALONE = "holds tensors alone, and nothing that runs"

FORMATS = (
    Format(
        "py",
        "plain PyTorch source, and its weights as NAME.pth",
        ("torch", "numpy", "PIL", "safetensors"),
        "",
        "resnet_spec.outputs.exporting.source_file",
        frozenset(),
        {
            "dynamic": "takes any batch, and any size that the network accepts",
            "opset": "has no opset, which is the version of ONNX's operators",
            "dtype": "is converted where it is used: `model.to(torch.float16)`",
            "channels_last": "is converted where it is used: `model.to(memory_format=torch.channels_last)`",
            "preprocessing": "is the network alone, for normalized images",
            "snippet": "has a function `build`, which is the example",
        },
    ),
    Format(
        "onnx",
        "ONNX, for onnxruntime and other engines",
        ("torch", "numpy", "PIL", "safetensors", "onnx", "onnxscript", "onnxruntime"),
        "onnx",
        "resnet_spec.outputs.exporting.onnx_file",
        frozenset({"dynamic", "opset", "dtype", "preprocessing", "snippet"}),
        {"channels_last": "has no memory formats: its tensors are NCHW, and the engine arranges them"},
    ),
    Format(
        "pt2",
        "a program of torch.export, for torch without this package",
        ("torch", "numpy", "PIL", "safetensors"),
        "",
        "resnet_spec.outputs.exporting.torch_program",
        frozenset({"dynamic", "dtype", "channels_last", "preprocessing", "snippet"}),
        {"opset": "has no opset, which is the version of ONNX's operators"},
    ),
    Format(
        "safetensors",
        "the weights alone, with their facts",
        ("torch", "numpy", "PIL", "safetensors"),
        "",
        "resnet_spec.outputs.exporting.tensors",
        frozenset({"dtype"}),
        dict.fromkeys(("dynamic", "opset", "channels_last", "preprocessing", "snippet"), _TENSORS_ALONE),
    ),
)


def suffixes() -> str:
    """The suffixes, for messages: `.py, .onnx, .pt2 or .safetensors`."""
    return join_words([f".{each.suffix}" for each in FORMATS], "or")


def find_format(path: Path) -> Format:
    """The format of a file by its suffix. Raises ArgumentError, with the suffix that was most likely meant."""
    suffix = path.suffix.removeprefix(".").lower()
    for each in FORMATS:
        if each.suffix == suffix:
            return each
    names = [each.suffix for each in FORMATS]
    near = _OTHER_SUFFIXES.get(suffix) or closest(suffix, names)
    what = f"`.{printable(suffix)}` is no format" if suffix else f"`{printable(path.name)}` has no suffix"
    message = f"{what} that a network is exported to: the name of the file ends in {suffixes()}"
    help = (
        f"did you mean `{printable(path.stem)}.{near}`?" if near in names else "`resnet-spec export --list` shows the formats"
    )
    if suffix in _NOT_WRITTEN:
        help = _NOT_WRITTEN[suffix]
    raise ArgumentError([Diagnostic("export-format", message, None, help=help)])


# What people write for a format, and what is another thing.
_OTHER_SUFFIXES = {"ep": "pt2", "safetensor": "safetensors", "st": "safetensors", "ort": "onnx"}
_NOT_WRITTEN = {
    **dict.fromkeys(
        ("pt", "pth", "bin", "ckpt"),
        "`.safetensors` holds the weights, without a pickle; `.pt2` the network with them, for torch alone",
    ),
    **dict.fromkeys(("ts", "jit", "torchscript"), "torch has replaced TorchScript by torch.export: write `.pt2`"),
    **dict.fromkeys(
        ("engine", "plan", "trt", "tflite", "mlmodel", "mlpackage", "xml"),
        "write `.onnx`, which the converters of these engines read",
    ),
}


def refuse_option(form: Format, option: str) -> ArgumentError:
    """The error for an option that a format does not take, with the reason."""
    able = [f".{each.suffix}" for each in FORMATS if option in each.options]
    message = f"`{OPTIONS[option]}` does not apply to .{form.suffix}, which {form.reasons[option]}"
    help = f"leave it out, or write {join_words(able, 'or')}"
    return ArgumentError([Diagnostic("export-option", message, None, help=help)])
