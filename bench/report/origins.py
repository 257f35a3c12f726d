"""Name the commits that made the artefacts of a suite, and decide whether they may be published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.core.errors import UserError
from bench.stats.results import Origin

MIXED = "are mixed"
UNKNOWN = "unknown"  # the commit of a copy that was installed without its repository


def made_by(origins: Sequence[Origin]) -> tuple[str, ...]:
    """Return the commits behind artefacts as a sentence, and a warning for each fault except mixed commits.

    Mixed commits are no fault of tables, since the workflow first makes again what this commit would make differently.
    """
    if is_installed(origins):
        return ("Made by an installed copy, which does not know its commit.",)
    commits = Counter(origin.commit for origin in origins)
    made = ", ".join(f"{commit[:12]} ({number} files)" for commit, number in commits.most_common())
    faults = [fault for fault in faults_of(origins) if MIXED not in fault]
    return (f"Made by commit {made}.", *(f"Warning: {fault}." for fault in faults))


def is_installed(origins: Sequence[Origin]) -> bool:
    """Return whether all artefacts were made by a copy without a repository, where nothing is known of edits."""
    return bool(origins) and all(
        origin.commit == UNKNOWN and origin.dirty is None for origin in origins
    )


def faults_of(origins: Sequence[Origin]) -> tuple[str, ...]:
    """Return the reasons against publishing: commits that differ or are unknown, artefacts of edited sources."""
    commits = sorted({origin.commit for origin in origins})
    edited = [origin.path for origin in origins if origin.dirty is not False]
    faults = []
    if len(commits) > 1:
        faults.append(
            f"artefacts of {len(commits)} commits {MIXED} ({', '.join(c[:12] for c in commits)})"
        )
    if UNKNOWN in commits:
        faults.append("the commit of some artefacts is not known")
    if edited:
        number = f"{len(edited)} of {len(origins)}"
        faults.append(f"{number} artefacts were made from uncommitted sources (first: {edited[0]})")
    return tuple(faults)


def refuse_faults(
    origins: Sequence[Origin], folder: str, allowed: bool = False, unchanged: bool = False
) -> tuple[str, ...]:
    """Return the faults of artefacts in `folder`; UserError, one line, when there are any and they are not allowed.

    unchanged: the workflow would make none of them again, so this commit would make the same ones.
    """
    faults = faults_of(origins)
    if unchanged:
        faults = tuple(fault for fault in faults if MIXED not in fault)
    if faults and not allowed:
        advice = "commit, remove the folder and run again, or give --allow-dirty"
        if any(MIXED in fault for fault in faults):
            advice = (
                f"`posterior-bench publish {folder}` finds out whether that matters; or {advice}"
            )
        raise UserError(f"{folder}: {'; '.join(faults)}; {advice}")
    return faults
