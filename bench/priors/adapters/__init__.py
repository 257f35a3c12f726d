"""Foreign checkpoints, one module per format, and the conventions of their networks."""
