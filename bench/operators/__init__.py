"""Measurement operators, one plug-in per file: frozen dataclasses with the functions of `core.types.Operator`.

Images are (n, c, h, w) in [-1, 1], and rows are measured independently. Parameters are checked in `__post_init__`, and
the size of an image in `measured_shape`; both raise ValueError, one line with the operator, the parameter and what was
expected.
"""
