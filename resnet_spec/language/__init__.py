"""Text to Spec: reading with positions, patches, the schema, and expressions. Knows nothing of tensors."""
