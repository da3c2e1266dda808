"""What can be computed from a graph without running it: shapes, costs, memory, receptive fields, accepted input sizes."""
