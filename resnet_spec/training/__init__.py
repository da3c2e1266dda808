"""Recipe + data + module -> a run. Takes any `nn.Module`, and never sees a graph."""
