"""The message formats. Each module is one, with a function `report(diagnostics, color)` that returns the text."""
