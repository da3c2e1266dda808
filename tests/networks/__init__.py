"""Shipped and other networks against independent references."""

# Folders of specs/ whose networks are compared with a reference in test_reference_networks.py
REFERENCED = ("examples/", "torchvision/", "timm/")
# Folders whose networks are compared with modules written by hand, in test_small_images.py
SMALL_IMAGES = ("cifar/", "mnist/")
