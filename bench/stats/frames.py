"""Records as a table: the text of a csv through pandas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any


def records_csv(kind: type, records: Iterable[Any]) -> str:
    """Return the csv of dataclass records of one kind: numbers to six digits, None as an empty field."""
    import pandas as pd

    names = [item.name for item in fields(kind)]
    frame = pd.DataFrame(list(map(attrgetter(*names), records)), columns=names)
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
