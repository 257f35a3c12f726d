"""Data sets, one plug-in a file: images inside packages, families that can be listed, files on this machine, and noise.

A plug-in is a frozen dataclass with `side` (pixels along an image, a class variable or a field) and `load()`, which
returns `train`, `validation`, `test` (N, *x) float32 in [-1, 1], and `train_id`, ... (N,) int64, all different. It may
add `train_label`, ... (N,) int64, and `atoms` (N, *x), all images that there are. One that may be too large for memory
has `blocks(facts)` as well, see `_blocks.py`.
"""
