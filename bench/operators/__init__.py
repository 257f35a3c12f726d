"""Measurement operators, one plug-in a file: frozen dataclasses with what `core.types.Operator` lists.

Images are (n, c, h, w) in [-1, 1], row by row. Parameters are checked in `__post_init__`, and the size of an image in
`measured_shape`; both raise ValueError, one line with the operator, the parameter and what was expected.
"""
