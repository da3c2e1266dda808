"""The message formats: each module is one, with a function `report` from findings and whether to use colors to a text."""
