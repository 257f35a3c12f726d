"""Read metrics.csv: its lines as columns of numbers, and as tuples where single lines are asked for.

A suite of budgets has two million lines, and most jobs read a few metrics of them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple, overload

import numpy as np
import pandas as pd

COLUMNS = ("method", "seed", "observation", "metric", "value", "reason")  # of metrics.csv
ALL = "all"  # in place of a measurement: a number of the samples of all measurements
TEXTS = ("method", "observation", "metric", "reason")
Key = tuple[str, str]  # method, metric


# a tuple, since dataclasses take several times as long to make
class Score(NamedTuple):
    """One line of metrics.csv; `value` is None where there is a `reason` instead.

    measurement: None for a number of all measurements together.
    """

    method: str
    seed: int
    measurement: int | None
    metric: str
    value: float | None
    reason: str


class ScoreTable(Sequence[Score]):
    """Lines of single measurements in their order, each made into a Score when it is asked for.

    method, metric, reason: places in `methods`, `metrics` and `reasons`. value: NaN where there is a reason instead.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.method, self.methods = _coded(frame["method"])
        self.metric, self.metrics = _coded(frame["metric"])
        self.reason, self.reasons = _coded(frame["reason"])
        self.seed, self.value = frame["seed"].to_numpy(), frame["value"].to_numpy()
        observation, names = _coded(frame["observation"])
        numbers = [-1 if name == ALL else int(name) for name in names]
        self.measurement = np.array(numbers, int)[observation]

    @overload
    def __getitem__(self, place: int) -> Score: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Score, ...]: ...
    def __getitem__(self, place: int | slice) -> Score | tuple[Score, ...]:
        places = np.arange(len(self))
        return self.at(places[place]) if isinstance(place, slice) else self.at(places[[place]])[0]

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.at(np.arange(len(self))))

    def at(self, places: np.ndarray) -> tuple[Score, ...]:
        """Return the lines at some places."""
        columns = (self.method, self.seed, self.measurement, self.metric, self.value, self.reason)
        lines = zip(*(column[places].tolist() for column in columns), strict=True)
        return tuple(
            Score(
                self.methods[method],
                seed,
                measurement,
                self.metrics[metric],
                None if math.isnan(value) else value,
                self.reasons[reason],
            )
            for method, seed, measurement, metric, value, reason in lines
        )

    @cached_property
    def places(self) -> Mapping[Key, np.ndarray]:
        """Return the places of the lines of each method and metric, in their order."""
        keys = self.method.astype(np.int64) * len(self.metrics) + self.metric
        order = np.argsort(keys, kind="stable")
        present, starts = np.unique(keys[order], return_index=True)
        names = (divmod(key, len(self.metrics)) for key in present.tolist())
        pairs = [(self.methods[method], self.metrics[metric]) for method, metric in names]
        return dict(zip(pairs, np.split(order, starts[1:]), strict=True))


def read_scores(text: str) -> tuple[Sequence[Score], tuple[Score, ...]]:
    """Return the lines of metrics.csv on single measurements, and those on all measurements together."""
    frame = _frame(text)
    if frame is None:
        scores = _read_exactly(text)
        whole = tuple(score for score in scores if score.measurement is None)
        return tuple(score for score in scores if score.measurement is not None), whole
    is_whole = frame["observation"] == ALL
    of_sets = ScoreTable(frame[is_whole])
    return ScoreTable(frame[~is_whole]), tuple(x._replace(measurement=None) for x in of_sets)


def metrics_of(scores: Sequence[Score]) -> list[str]:
    """Return the metrics that lines are about, in their order."""
    if not isinstance(scores, ScoreTable):
        return list(dict.fromkeys(score.metric for score in scores))
    present, first = np.unique(scores.metric, return_index=True)
    return [scores.metrics[code] for code in present[np.argsort(first)].tolist()]


def of_metric(scores: Sequence[Score], metric: str) -> Sequence[Score]:
    """Return the lines that are about one metric, in their order."""
    if not isinstance(scores, ScoreTable):
        return [score for score in scores if score.metric == metric]
    codes = [code for code, name in enumerate(scores.metrics) if name == metric]
    return scores.at(np.flatnonzero(np.isin(scores.metric, codes)))


def _frame(text: str) -> pd.DataFrame | None:
    """Return the columns; None where a value is not a number, which would not be told from an empty one."""
    types = dict.fromkeys(TEXTS, "category") | {"seed": "int64", "value": "object"}
    try:
        frame = pd.read_csv(
            io.StringIO(text), usecols=list(COLUMNS), dtype=types, keep_default_na=False
        )
    except pd.errors.EmptyDataError:
        return None
    texts = frame["value"].to_numpy(object)
    # not read by pandas, whose numbers may differ in the last bit
    frame["value"] = np.where(texts == "", "nan", texts).astype(float)
    return None if (frame["value"].isna() & (texts != "")).any() else frame


def _coded(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return the texts of a column as places in a list of them."""
    return column.cat.codes.to_numpy(), column.cat.categories.tolist()


def _read_exactly(text: str) -> tuple[Score, ...]:
    """Return the lines as csv reads them."""
    rows = csv.reader(io.StringIO(text))
    columns = map(next(rows, list(COLUMNS)).index, COLUMNS)
    return tuple(
        Score(
            method,
            int(seed),
            None if observation == ALL else int(observation),
            metric,
            float(value) if value else None,
            reason,
        )
        for method, seed, observation, metric, value, reason in map(itemgetter(*columns), rows)
    )
