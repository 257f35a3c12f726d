"""`digits`: handwritten digits that ship inside scikit-learn, 1797 images of 8 x 8 pixels with values 0 to 16.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI repository, https://doi.org/10.24432/C50P49
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.core.rng import stream
from bench.datasets._splits import split

__all__ = ["Digits"]


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, 8, 8) in [-1, 1], with the digit of each as its label.

    Uniform noise u fills the steps between the 17 values v, so that a density exists: x = 2 (v + u) / 17 - 1.
    """

    side: ClassVar[int] = 8

    def load(self) -> dict[str, Tensor]:
        """Return the split images, their ids, and `train_label`, `validation_label`, `test_label` (N,) int64."""
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        values, labels = images.reshape(-1, 8, 8), torch.from_numpy(classes).long()
        noise = np.stack(
            [
                stream("dequantise", image_id).random(values.shape[1:])
                for image_id in range(len(values))
            ]
        )
        x = 2 * (values + noise) / 17 - 1
        parts = split("digits", torch.from_numpy(x.astype(np.float32))[:, None])
        return parts | {
            f"{part}_label": labels[parts[f"{part}_id"]] for part in ("train", "validation", "test")
        }
