"""Diffusion steps, Markov chains, diagnostics, networks: pure functions of tensors."""
