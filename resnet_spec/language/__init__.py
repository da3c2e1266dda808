"""Text to Spec: reading with positions, patches, the schema, and expressions."""
