"""Data sets: opening what a `--data` argument names, reading images, and preparing them for a network."""

from resnet_spec.data.dataset import BadImage, Data, Split
from resnet_spec.data.opening import open_data

__all__ = ["BadImage", "Data", "Split", "open_data"]
