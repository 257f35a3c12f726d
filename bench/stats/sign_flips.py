"""Tests of many columns of paired differences at once, by random signs of their rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

MOST_EXACT = 17  # rows whose patterns of signs are all counted; beyond, random ones
BLOCK = 4096  # patterns at a time


def smallest_flip_p(num_rows: int) -> float:
    """Return the least p-value that flips of so many rows can give."""
    return 2.0 ** (1 - num_rows) if num_rows <= MOST_EXACT else 0.0


def flip_p(table: np.ndarray, level: float) -> tuple[np.ndarray, float]:
    """Return p (k,) of each column of differences `(n, k)` against the largest of all columns under flips of rows.

    Single-step max-T of Westfall and Young (1993): p bounds the probability of any error over the columns of a table,
    and redundant columns cost no power. It is exact where each row is as likely as its negative, whatever its law. A
    column has two statistics, of which the larger counts: the sum of its values, and that of their signed ranks
    (Wilcoxon 1945), which is robust to a single outlying row. Also returns the ratio of a mean to its standard error
    at which p <= `level`, infinite where no ratio is enough.
    """
    # ours: scipy.stats.permutation_test has no law of the largest of dependent columns
    table = table[table.any(axis=1)]
    num, k = table.shape
    ranks = np.sign(table) * np.stack([rankdata(np.abs(column)) for column in table.T], 1)
    both = np.concatenate([table, ranks], 1)
    norm = np.sqrt((both**2).sum(0))
    columns = np.divide(both, norm, out=np.zeros_like(both), where=norm > 0)
    blocks = (np.abs(signs @ columns).max(1) for signs in _signs(num, level))
    largest = np.sort(np.concatenate(list(blocks)))
    # less 1e-9, since sums that are equal differ by rounding
    seen = np.abs(columns.sum(0)).reshape(2, k).max(0) - 1e-9
    p = (len(largest) - np.searchsorted(largest, seen)) / len(largest)
    bar = largest[-max(1, math.floor(level * len(largest)))]
    left = num - bar**2
    return p, bar * math.sqrt((num - 1) / left) if left > 1e-9 else math.inf


def _signs(num: int, level: float) -> Iterator[np.ndarray]:
    """Yield blocks of patterns of signs `(b, num)`: all up to a common sign, or random ones with the observed first."""
    if num <= MOST_EXACT:
        patterns = np.arange(2 ** (num - 1))
        for start in range(0, len(patterns), BLOCK):
            yield 1.0 - 2.0 * (patterns[start : start + BLOCK, None] >> np.arange(num) & 1)
        return
    rng = np.random.default_rng(0)
    for start in range(0, max(2**14, math.ceil(4 / level)), BLOCK):
        signs = rng.integers(0, 2, size=(BLOCK, num)) * 2.0 - 1
        if start == 0:
            signs[0] = 1  # the observed pattern counts, or the level would not hold
        yield signs
