"""What a column is. No import of torch: tables and report only print these lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Need = Literal["", "operator", "exact", "teacher", "reward", "chain"]
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Metric:
    """One column of the tables.

    better: "higher", "lower", or the value that a perfect sampler has in expectation.
    needs: a measurement "operator" with the x_true behind y, draws of the "exact" posterior, those of the exact
    posterior of a distilled map's "teacher", a "reward", a "chain" of states, or nothing ("") but samples.
    """

    id: str
    definition: str
    better: Literal["higher", "lower"] | float
    unit: str = "1"
    needs: Need = ""
