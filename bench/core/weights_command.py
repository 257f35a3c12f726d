"""`posterior-bench weights check` and `fetch`: models that a prior opens, and networks that judge images.

Terms are printed before a download. Those of models are in checkpoints.py, those of the networks of weights.py here.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.core import checkpoints, weights
from bench.core.errors import UserError

TRAINED = "; trained on ImageNet, for non-commercial research and education only"
TORCHVISION = f"none of its own; the code of torchvision is BSD-3-Clause{TRAINED}"
TERMS = {
    "alexnet": TORCHVISION,
    "vgg16": TORCHVISION,
    "inception": f"Apache-2.0, as the weights of TensorFlow that it was converted from{TRAINED}",
}


def run(what: str, names: Iterable[str]) -> None:
    """Check or fetch models and networks by name; without names, all networks that judge images.

    Raises UserError, one line, for an unknown name, before anything is checked or fetched.
    """
    names = list(names)
    known = {*checkpoints.CHECKPOINTS, *weights.WEIGHTS}
    for name in names:
        if name not in known:
            raise UserError(
                f"weights: expected one of {', '.join(weights.WEIGHTS)}, or a model that posterior-bench weights list "
                f"names, got {name!r}"
            )
    models = [name for name in names if name in checkpoints.CHECKPOINTS]
    if models:
        {"fetch": checkpoints.fetch, "check": checkpoints.check}[what](models)
    networks = [name for name in names if name not in models]
    if networks or not models:
        if what == "fetch":
            print_terms(networks)
        weights.main(what, *networks)


def print_terms(networks: Iterable[str]) -> None:
    """Print a line for each of these networks, of all without names; unknown names are left to what follows."""
    for name in networks or TERMS:
        if name in TERMS:
            print(f"{name}: licence {TERMS[name]}", flush=True)
