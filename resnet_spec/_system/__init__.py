"""What the operating system and its packages are asked for: atomic files, free memory, the import of torchvision."""
