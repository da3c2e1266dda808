"""The intermediate representation: typed operations in an order in which they can run, and passes over it."""
