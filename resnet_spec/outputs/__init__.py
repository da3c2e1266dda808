"""Graph to things: modules, diagrams, summaries. No output imports another."""
