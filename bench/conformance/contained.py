"""Run checks in a process of their own, so that a plug-in that ends, kills or blocks it is reported like any other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.conformance import check, kind_of_file
from bench.conformance.checks import CheckResult
from bench.core.registry import Kind
from bench.core.specs import Limits
from bench.runtime.containment import contained, hold

SECONDS, SECONDS_OF_OTHERS = 60.0, 600.0  # for one check of a method; priors are fitted


def check_contained(
    path: str | Path,
    kind: Kind | None = None,
    seconds: float | None = None,
) -> list[CheckResult]:
    """Return the results of `check`, and print each as it comes; a check during which the process ends has failed.

    seconds: the limit of one check; None: SECONDS for a method, SECONDS_OF_OTHERS for a plug-in of another kind.
    """
    is_method = (kind or kind_of_file(Path(path).resolve())) == "method"
    limits = Limits(seconds=seconds or (SECONDS if is_method else SECONDS_OF_OTHERS))
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record.json")

        def follow(title: str, results: Sequence[CheckResult]) -> None:
            if results:
                print(f"  {results[-1]}", flush=True)  # before the next one may end the process
            record.write_text(json.dumps([title, [asdict(result) for result in results]]))
            hold(limits)

        ending = contained(lambda: check(path, kind, follow=follow))
        title, said = json.loads(record.read_text()) if record.exists() else ("it begins", [])
    results = [CheckResult(**result) for result in said]
    if ending.status != "ok" and title:
        words = f"{ending.reason}; no more was checked"
        results.append(CheckResult(title, "FAIL", words))
        print(f"  {results[-1]}", flush=True)
    return results
