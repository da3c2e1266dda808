"""How files of weights are named."""

from __future__ import annotations

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".th", ".tar")  # of what torch.save writes
WEIGHT_SUFFIXES = (".safetensors", *TORCH_SUFFIXES)
INDEX = ".index.json"  # of weights in several files
# What a folder of Hugging Face calls its weights, the ones to prefer first.
MODELS = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
