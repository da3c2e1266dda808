"""Shipped and other networks against independent references."""

# Folders of specs/ whose networks are compared with a reference in test_reference_networks.py
REFERENCED = ("examples/", "torchvision/", "timm/")
