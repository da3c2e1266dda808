"""Warnings about networks that work: rules over the graph and over the spec."""
