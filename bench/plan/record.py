"""Refuse to run without Snakemake's record where settings have changed, which would go unnoticed."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import UserError
from bench.core.specs import Spec
from bench.plan.folder import content_on_disk
from bench.plan.rules import Rules

RECORD = Path(".snakemake/metadata")  # what Snakemake knows of the params of finished jobs


def refuse_unrecorded_changes(rules: Rules) -> None:
    """Raise UserError, one line, where Snakemake's record is gone and results were made with other specs.

    The specs on disk are those of the last run. A spec that differs from the plan's would be overwritten, and old
    outputs of its job kept. Writes nothing, and reads no file where there is a record.
    """
    if RECORD.is_dir() and next(RECORD.iterdir(), None):
        return
    changed = []
    for rule in rules.all.values():
        for case in rule.cases:
            path = rules.spec_path(rule.stage, case)
            outputs = [output for output in rule.outputs if Path(output.format(**case)).exists()]
            if outputs and (field := difference(path, rules.specs[path])):
                changed.append((path, field, [output.format(**case) for output in outputs]))
    if changed:
        path, field, outputs = changed[0]
        more = f" (and {len(changed) - 1} other jobs)" if len(changed) > 1 else ""
        raise UserError(
            f"{path}: {field} differs from the results{more}, and {RECORD.parent}/, which would tell Snakemake to "
            f"make them anew, is gone; delete {' '.join(outputs)}, or {rules.suite.root} to begin anew"
        )


def difference(path: str, spec: Spec) -> str:
    """Return the first field in which a spec on disk differs from the plan's, but for limits; "" where none does."""
    before, now = content_on_disk(path), spec.content()
    if before is None:
        return ""
    keys = [key for key in {**before, **now} if key != "limits"]
    return next((key for key in keys if before.get(key) != now.get(key)), "")
