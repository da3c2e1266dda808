"""What version 0.1.0 gave, held fast: figures of specs, runs that it wrote, and exit codes.

These tests use only what users use - the names of `resnet_spec` and the command line - so that they hold whatever becomes of
the modules inside. Messages are free to change; codes, exit codes, figures, weights and splits are not.
"""
