"""Data sets, one plug-in per file: images from packages, images that can all be listed, files on this machine, noise.

A plug-in is a frozen dataclass with `side` (pixels along an image, a class variable or a field) and `load()`, which
returns `train`, `validation`, `test` (N, *x) float32 in [-1, 1], and `train_id`, ... (N,) int64, all different. It may
add `train_label`, ... (N,) int64, and `atoms` (N, *x), all images that the data set can have. One that may be too large
for memory also has `blocks(facts)`, see `_blocks.py`.
"""
