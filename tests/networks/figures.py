"""`make networks`: writes the figures of the shipped networks, which `resnet-spec list` shows without compiling them."""

from __future__ import annotations

from resnet_spec.cli.networks import compute, write_networks
from resnet_spec.language.library import networks_file, shipped_names


def main() -> None:
    text = write_networks([compute(name) for name in shipped_names()])
    networks_file().write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
