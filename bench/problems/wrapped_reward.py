"""A reward from a Python file of the user's: rewards/<data set>.py in the working directory.

The file has `num_classes` and a function `load()`, which returns a module from images (n, *x) in [-1, 1] to rewards
(n, num_classes), a column for each measurement: log r(x, y) at beta = 1, on any scale, such as the score of an image
for each of several prompts. The file is run without restrictions. docs/papers.md shows one for ImageReward.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bench.core.errors import UserError

# endings of the classifier's name: `ffhq-wrapped`, and a stub for rehearsals
WRAPPED, STUB = "-wrapped", "-wrapped-stub"
FOLDER, KEPT = Path("rewards"), "reward.py"


@dataclass(frozen=True, eq=False)
class WrappedReward:
    """Rewards by `network`; it has no features of its own, so there are no real images of a class to compare with."""

    network: nn.Module
    num_classes: int
    real: None = None

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the rewards, (n, *x) -> (n, num_classes)."""
        return self.network(x.float()).to(x)

    def features(self, x: Tensor) -> Tensor:
        """Return the rewards as features, (n, *x) -> (n, num_classes)."""
        return self.log_probs(x)


def is_wrapped(name: str) -> bool:
    """Return whether a classifier is a file of the user, or its stub."""
    return name.endswith((WRAPPED, STUB))


def source_of(name: str) -> Path:
    """Return the file of a wrapped reward; UserError, one line, where there is none."""
    if name.endswith(STUB):
        return Path(__file__).with_name("_stub_reward.py")
    path = FOLDER / f"{name.removesuffix(WRAPPED)}.py"
    if not path.is_file():
        raise UserError(f"{name}: there is no {path}; docs/papers.md says what it has to hold")
    return path


def opened(file: Path) -> WrappedReward:
    """Return the reward in a file; UserError, one line, where the file lacks a name that it must have."""
    spec = importlib.util.spec_from_file_location("wrapped_reward", file)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lacks = [name for name in ("num_classes", "load") if not hasattr(module, name)]
    if lacks:
        raise UserError(f"{file}: has no {' and no '.join(lacks)}")
    return WrappedReward(module.load().eval().requires_grad_(False), module.num_classes)
