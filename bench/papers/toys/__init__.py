"""Posteriors in the plane that are computed on a grid: data, generators, targets, the grid and figures."""
