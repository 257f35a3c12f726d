"""Posterior samplers, one file or package each; the file is the registration."""
