"""The terms of the networks in bench/core/weights.py, printed by `posterior-bench weights fetch`."""

from __future__ import annotations

from collections.abc import Iterable

TRAINED = "; trained on ImageNet, for non-commercial research and education only"
TORCHVISION = f"none of its own; the code of torchvision is BSD-3-Clause{TRAINED}"
TERMS = {
    "alexnet": TORCHVISION,
    "vgg16": TORCHVISION,
    "inception": f"Apache-2.0, as the weights of TensorFlow that it was converted from{TRAINED}",
}


def print_terms(names: Iterable[str]) -> None:
    """Print a line for each of these networks, of all without names; others are left to what checks names."""
    for name in names or TERMS:
        if name in TERMS:
            print(f"{name}: licence {TERMS[name]}", flush=True)
