"""Files of weights: reading, writing, their metadata, and loading them into a network."""
