"""Source of a network in plain PyTorch, in steps: parts, classes, parameters, and the text."""
