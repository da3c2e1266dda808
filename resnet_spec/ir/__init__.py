"""Spec to Graph, and what can be known of a graph without torch."""
