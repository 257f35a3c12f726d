"""Find what two sets of results have in common, and say in sentences what only one of them has."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

PUBLISHED, HERE = "published", "here"
LONGEST = 6  # names in a sentence


def only_on_one_side(published: pd.DataFrame, here: pd.DataFrame) -> list[str]:
    """Return sentences on tasks, rows, metrics, seeds and measurements that only one side has a number of.

    published, here: frames with task, method, seed, measurement and metric. Later sentences leave out what earlier ones
    imply: a task that one side lacks is named, but not its rows.
    """
    sentences: list[str] = []
    of_tasks = {side: set(frame["task"]) for side, frame in _sides(published, here)}
    for side, other in ((PUBLISHED, HERE), (HERE, PUBLISHED)):
        if lacking := of_tasks[side] - of_tasks[other]:
            sentences.append(f"Tasks only {side}: {_listed(lacking)}.")
    common = list(of_tasks[PUBLISHED] & of_tasks[HERE])
    published, here = (frame.loc[frame["task"].isin(common)] for frame in (published, here))
    for key, words in (
        ("method", "row {0} only {1}, on {2}"),
        ("metric", "{0} only {1}, of {2}"),
        ("seed", "seed {0} only {1}, of {2}"),
        ("measurement", "measurement {0} only {1}, of {2}"),
    ):
        found, published, here = _split(published, here, key)
        sentences += [f"{words.format(name, side, where)}." for name, side, where in found]
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


def _split(
    published: pd.DataFrame, here: pd.DataFrame, key: str
) -> tuple[list[tuple[str, str, str]], pd.DataFrame, pd.DataFrame]:
    """Return (value of `key`, side, where) for each value that only one side has, and both sides without these values.

    Rows are compared on each task; metrics, seeds and measurements in each row.
    """
    place = ["task"] if key == "method" else ["task", "method"]
    keys = [*place, key]
    sides = dict(_sides(published, here))
    sets = {
        side: set(map(tuple, frame[keys].drop_duplicates().to_numpy()))
        for side, frame in sides.items()
    }
    found: dict[tuple[str, str], set[str]] = {}
    for side, other in ((PUBLISHED, HERE), (HERE, PUBLISHED)):
        for *where, name in sets[side] - sets[other]:
            found.setdefault((str(name), side), set()).add(" ".join(reversed(where)))
    both = pd.DataFrame(list(sets[PUBLISHED] & sets[HERE]), columns=keys)
    told = [(name, side, _listed(where)) for (name, side), where in sorted(found.items())]
    return told, published.merge(both, on=keys), here.merge(both, on=keys)


def _sides(published: pd.DataFrame, here: pd.DataFrame) -> tuple[tuple[str, pd.DataFrame], ...]:
    return (PUBLISHED, published), (HERE, here)


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - LONGEST} more" if len(shown) > LONGEST else ""
    return ", ".join(shown[:LONGEST]) + more


def other_measurements(
    published: Mapping[str, str], here: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return the tasks whose measurements have the same hash on both sides, and sentences on those that differ."""
    common = [task for task in here if task in published]
    same = [task for task in common if published[task] == here[task]]
    differ = [task for task in common if task not in same]
    words = "Measurements differ from the published ones, so nothing is compared: {}."
    return same, [words.format(_listed(differ))] if differ else []
