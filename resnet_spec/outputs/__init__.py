"""What a graph is turned into: modules, diagrams, summaries. No output imports another."""
