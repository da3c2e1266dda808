"""A short program that runs an exported file on an image. Texts of a spec are not in it."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.data.preparation import Preparation
from resnet_spec.outputs.exporting.formats import Format
from resnet_spec.outputs.exporting.model import Exportable


def write_snippet(exportable: Exportable, form: Format, file: str, preparation: Preparation | None, classes: bool) -> str:
    """The text of a program that runs `file`, which is in the same folder, on the image that is its argument.

    Without a `preparation`, or for images of other channels than 1 and 3, it runs on zeros. With `classes`, which are then in
    the metadata of the file, it prints the most probable one, else its number.
    """
    return "\n".join([*_program(exportable, form, file, preparation, classes), ""])


def _program(exportable: Exportable, form: Format, file: str, preparation: Preparation | None, classes: bool) -> Iterator[str]:
    of_image = preparation is not None and exportable.channels in (1, 3)
    onnx = form.suffix == "onnx"
    imports = ["json"] * classes + ["sys"] * of_image
    yield from (f"import {name}" for name in imports)
    yield "from pathlib import Path"
    yield ""
    yield "import numpy as np"
    yield "import onnxruntime" if onnx else "import torch"
    yield from ["from PIL import Image, ImageOps"] * of_image
    yield ""
    yield f"file = Path(__file__).with_name({_quote(file)})"
    if onnx:
        yield "session = onnxruntime.InferenceSession(file)"
        yield from ['classes = json.loads(session.get_modelmeta().custom_metadata_map["resnet_spec.classes"])'] * classes
    else:
        yield 'facts = {"resnet_spec.json": ""}' if classes else "facts = {}"
        yield "module = torch.export.load(file, extra_files=facts).module()"
        yield from ['classes = json.loads(json.loads(facts["resnet_spec.json"])["resnet_spec.classes"])'] * classes
    kind = "float32" if exportable.layout is None else "uint8"
    if of_image and preparation is not None:
        yield from _read(exportable, preparation)
    else:
        yield f"x = np.zeros({exportable.shape(1, exportable.size)}, np.{kind})"
    main = "logits" if "logits" in exportable.outputs else exportable.output_names[0]
    if onnx:
        yield f"(output,) = session.run([{_quote(main)}], {{{_quote(exportable.input_name)}: x}})"
    else:
        part = f"[{_quote(main)}]" if exportable.outputs else ""
        yield "with torch.no_grad():"
        yield f"    output = module(torch.from_numpy(x)){part}.numpy()"
    if classes or (of_image and len(exportable.analysis.output) == 1):
        yield "odds = np.exp(output[0] - output[0].max())"
        name = "ascii(classes[odds.argmax()])[1:-1]" if classes else "odds.argmax()"
        yield f'print({name}, f"{{odds.max() / odds.sum():.4f}}")'
    else:
        yield "print(output.shape)"


def _read(exportable: Exportable, preparation: Preparation) -> Iterator[str]:
    """Lines that read the image into an array `x`, as the network takes it."""
    height, width = exportable.size
    gray = exportable.channels == 1
    yield f'image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("{"L" if gray else "RGB"}")'
    mode = f"Image.Resampling.{preparation.interpolation.upper()}"
    crop = preparation.crop
    if crop is not None and preparation.size == exportable.size:
        side = preparation.resize if isinstance(preparation.resize, int) else None
        if side is not None:
            yield f"size = [{side} * side // min(image.size) for side in image.size]"
            yield f"image = image.resize(size, {mode})"
        elif preparation.resize is not None:
            tall, wide = preparation.resize  # type: ignore[misc]
            yield f"image = image.resize(({wide}, {tall}), {mode})"
        yield f"left, top = round((image.width - {width}) / 2), round((image.height - {height}) / 2)"
        yield f"image = image.crop((left, top, left + {width}, top + {height}))"
    else:
        yield f"image = image.resize(({width}, {height}), {mode})"
    yield "x = np.array(image)" + ("[None, :, :, None]" if gray else "[None]") + "  # (1, height, width, channels)"
    if exportable.layout is None:
        mean, std = (f"np.array({list(values)}, np.float32)" for values in (preparation.mean, preparation.std))
        yield f"x = (x.astype(np.float32) / 255 - {mean}) / {std}"
    if exportable.layout != "nhwc":
        yield "x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))"


def _quote(text: str) -> str:
    """A text as a literal of Python in ASCII."""
    literal = ascii(text)
    return literal if '"' in literal else f'"{literal[1:-1]}"'
