"""Try out what new specs ask for, before any work: `python -m bench.plan.rehearse < specs`, a JSON list.

Prints a JSON list of `[key in the suite's file, what is wrong]`. Only what a constructor refuses is a fault of the
suite; a method module that cannot even be imported fails in its own runs, and the others go on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys

from bench.core.registry import build
from bench.plan.config import FAMILIES
from bench.plan.sources import settings_fields
from bench.plan.suite import SIDES
from bench.problems import make_problem
from bench.problems.reward import NAME as REWARD
from bench.problems.reward import check_reward


def main() -> None:
    specs = json.load(sys.stdin)  # with the `key` each comes from and, for tasks, the `side` of an image
    with contextlib.redirect_stdout(sys.stderr):  # a method module may print when it is imported
        faults = [(spec["key"], fault(spec)) for spec in specs]
    print(json.dumps([(key, what) for key, what in faults if what]))


def fault(spec: dict) -> str | None:
    if "task" not in spec:
        return prior_fault(spec)
    return method_fault(spec) if "method" in spec else task_fault(spec)


def prior_fault(spec: dict) -> str | None:
    """What the settings of a learned prior's family say against its parameters."""
    if settings_fields(FAMILIES / f"{spec['family']}.py") is None:
        return None
    try:
        build("prior", spec["family"], spec["parameters"])
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())
    return None


def method_fault(spec: dict) -> str | None:
    """What the method's class says against its settings."""
    try:
        module = importlib.import_module(f"methods.{spec['module']}")
        (name,) = module.__all__
        cls = getattr(module, name)
    except (Exception, SystemExit):  # noqa: BLE001 (anything may go wrong in a user's module; its runs will tell)
        return None
    try:
        cls(**spec["settings"])
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 (a broken constructor: its runs will tell)
        return None
    return None


def task_fault(spec: dict) -> str | None:
    """What the operator or the reward says against its parameters, or against images of that size."""
    side = spec["side"] or SIDES[spec["dataset"]]
    try:
        if spec["operator"] == REWARD:  # its classifier may have to be trained yet
            check_reward(spec["parameters"], (1, side, side))
        else:
            make_problem(spec["operator"], spec["parameters"], spec["sigma_y"], (1, side, side))
    except ValueError as error:
        return " ".join(str(error).split())
    return None


if __name__ == "__main__":
    main()
