"""Handwritten digits that ship inside scikit-learn: 1797 images of 8 x 8 pixels with values 0 to 16.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI repository, https://doi.org/10.24432/C50P49
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.core.rng import stream
from bench.datasets.splits import split


def load() -> dict[str, Tensor]:
    """The split digits, (N, 1, 8, 8) in [-1, 1], and which digits they are: `train_label`, ... (N,) int64.

    Uniform noise fills the steps between the 17 values v, so that a density exists: x = 2 (v + u) / 17 - 1.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    values, labels = digits.images, torch.from_numpy(digits.target).long()
    noise = np.stack([stream("dequantise", image_id).random(values.shape[1:]) for image_id in range(len(values))])
    x = 2 * (values + noise) / 17 - 1
    parts = split("digits", torch.from_numpy(x.astype(np.float32))[:, None])
    return parts | {f"{part}_label": labels[parts[f"{part}_id"]] for part in ("train", "validation", "test")}
