"""Weights in files: reading them, writing them, and the facts that come with them."""
