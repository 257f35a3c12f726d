"""posterior-bench: compare posterior samplers with the truth."""
