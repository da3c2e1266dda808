"""The operating system and installed packages: atomic files, free memory, the import of torchvision."""
