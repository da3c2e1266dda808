"""Data sets: what a `--data` argument means, read with the layouts their authors publish."""

from resnet_spec.data.dataset import BadImage, Data, Split
from resnet_spec.data.opening import open_data

__all__ = ["BadImage", "Data", "Split", "open_data"]
