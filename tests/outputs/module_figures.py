"""The numbers of a module as digests, so that modules can be compared across processes. It needs torch alone.

As a program it is a process in which resnet_spec cannot be imported: it reads jobs as lines of JSON, with a path and the size
of images, imports each file, and writes the figures of what its `build` returns as a line.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def measure(build: Callable[[], nn.Module], images: tuple[int, ...], meta: bool = False) -> dict[str, str]:
    """Digests of the initial weights, outputs, gradients and statistics of a module for random images `(N, C, H, W)`.

    With `meta`, the module is built on the meta device, and only its keys, shapes and shapes of outputs are measured.
    """
    torch.manual_seed(3)
    with torch.device("meta" if meta else "cpu"):
        module = build()
    figures = {f"initial {key}": _digest(value) for key, value in module.state_dict().items()}
    figures |= {f"parameter {key}": str(value.requires_grad) for key, value in module.named_parameters()}
    if meta:
        found = _named(module.eval()(torch.empty(images, device="meta")))
        return figures | {f"evaluated {name}": _digest(value) for name, value in found.items()}
    figures["random state"] = _digest(torch.get_rng_state())
    batch = torch.rand(images)
    with torch.no_grad():
        figures |= {f"evaluated {name}": _digest(value) for name, value in _named(module.eval()(batch)).items()}
    torch.manual_seed(4)
    outputs = _named(module.train()(batch))
    figures |= {f"trained {name}": _digest(value) for name, value in outputs.items()}
    loss = torch.stack([(value * torch.rand_like(value)).sum() for value in outputs.values()]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    figures |= {f"gradient {key}": _digest(value.grad) for key, value in module.named_parameters()}
    return figures | {f"afterwards {key}": _digest(value) for key, value in module.state_dict().items()}


def _named(output: Any) -> dict[str, Tensor]:
    return output if isinstance(output, dict) else {"": output}


def _digest(value: Tensor | None) -> str:
    if value is None or value.is_meta:
        return "none" if value is None else str((tuple(value.shape), value.dtype))
    data = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return f"{tuple(value.shape)} {hashlib.blake2b(data, digest_size=16).hexdigest()}"


def main() -> None:
    sys.modules["resnet_spec"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("resnet_spec")
    except ImportError:
        print("ready", flush=True)
    torch.set_num_threads(1)
    for line in sys.stdin:
        job = json.loads(line)
        found = importlib.util.spec_from_file_location("exported", job["path"])
        assert found is not None
        assert found.loader is not None
        source = importlib.util.module_from_spec(found)
        found.loader.exec_module(source)
        print(json.dumps(measure(source.build, tuple(job["images"]), job["meta"])), flush=True)


if __name__ == "__main__":
    main()
