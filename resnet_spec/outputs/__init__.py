"""Graph to things: modules, reports, and later diagrams and source. None of them knows another."""
