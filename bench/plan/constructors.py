"""Try the constructors of what new specs name, before any work: `python -m bench.plan.constructors SPECS ANSWER`.

SPECS and ANSWER are files: a JSON list of `[key in the suite's file, kind, content]`, and of `[key, fault]`. What a
module prints when it is imported is ignored. Only parameters that a constructor refuses are a fault of the suite; a
module that cannot be imported, ends its process or never returns fails in its own runs, and the others go on.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.registry import INSTALLED, build, find, load
from bench.core.specs import Limits
from bench.plan.checkpoint_sides import side_fault
from bench.plan.columns import column_fault
from bench.plan.operator_trial import operator_fault
from bench.problems import make_problem
from bench.problems.classifier import definition_of
from bench.problems.reward import NAME as REWARD
from bench.problems.reward import check_reward
from bench.runtime.containment import contained, hold

MOST_PIXELS = (
    64**2
)  # of images on which operators of this package are tried: a large blur takes a minute
SECONDS = 20.0  # for the import of a plug-in and its constructor


def main(specs: str, answer: str) -> None:
    """Write the faults of the constructors that refuse, each tried in a process of its own."""
    asked = json.loads(Path(specs).read_text())
    faults = []
    for number, (key, kind, content) in enumerate(asked):
        own = Path(f"{answer}.{number}")
        contained(partial(try_one, own, kind, content))
        if own.exists():
            faults.append((key, own.read_text()))
    Path(answer).write_text(json.dumps(faults))


def try_one(answer: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write why a constructor refuses its parameters, if it does."""
    hold(Limits(seconds=SECONDS))
    if what := fault(kind, content):
        answer.write_text(what)


def fault(kind: str, content: Mapping[str, Any]) -> str | None:
    """Return in one line why a constructor refuses its parameters; None where it does not."""
    try:
        if kind == "task":
            try_task(content)
        elif kind == "prior":
            prior = build("prior", content["family"], content["parameters"])
            return side_fault(prior, content["size"])
        elif kind == "dataset":
            build("dataset", content["plugin"], content["parameters"])
        elif kind == "columns":
            return column_fault(**content)
        else:
            return method_fault(content)
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())
    return None


def try_task(content: Mapping[str, Any]) -> None:
    """Make the operator or the reward for images of the data set's size; ValueError where that cannot be.

    The operator is tried on a few random images, too.
    """
    size = content["size"]
    if content["operator"] == REWARD:  # its classifier may not be trained yet
        shape = definition_of(str(content["parameters"].get("classifier"))).x_shape
        return check_reward(content["parameters"], (*shape[:1], *size))
    problem = (content["operator"], content["parameters"], content["sigma_y"])
    try:
        made = make_problem(*problem, (1, *size), rate=content.get("rate"))
    except ValueError:  # the plan does not know how many channels there are
        made = make_problem(*problem, (3, *size), rate=content.get("rate"))
    is_quick = not is_shipped(content["operator"]) or math.prod(size) <= MOST_PIXELS
    if is_quick and (what := operator_fault(made)):
        raise ValueError(what)


def is_shipped(operator: str) -> bool:
    """Return whether an operator is one of this package's."""
    file = find("operator", operator)
    return file is not None and file.resolve().is_relative_to(INSTALLED / "bench" / "operators")


def method_fault(content: Mapping[str, Any]) -> str | None:
    """Return why the method's class refuses its settings; None where it does not, or cannot be loaded."""
    try:
        cls = load("method", content["module"])
    except (Exception, SystemExit):
        return None
    try:
        cls(**content["settings"])
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())
    except Exception:
        return None
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
