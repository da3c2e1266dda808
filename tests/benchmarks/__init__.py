"""Benchmarks: ratios to the peers within one run, never asserted. `make bench` runs them all."""
