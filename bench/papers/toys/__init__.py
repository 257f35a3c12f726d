"""Posteriors in the plane, where a grid tells the truth: data, generators, targets and the grid itself."""
