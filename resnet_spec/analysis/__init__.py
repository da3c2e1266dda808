"""What is known of a graph without running it: shapes, costs, memory, receptive fields, accepted input sizes."""
