"""Posteriors in the plane, whose truth is computed on a grid: data, generators, targets and the grid."""
