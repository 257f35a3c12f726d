"""`posterior-bench chaos`: kill runs of a suite, damage its files, fill its disk, and repeat the same command.

The repeated command has to restore everything. All happens in a temporary folder. Without --only, all three are tried.
Linux only.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.shipped import suite_file
from bench.cost.chaos.disks import Shortage, try_disks
from bench.cost.chaos.faults import Fault, all_faults, damage_files
from bench.cost.chaos.kills import Kill, kill_runs
from bench.cost.chaos.workshop import Workshop
from bench.cost.common import Say
from bench.plan.yaml_file import read_yaml
from bench.runtime.job import run

TRIALS = ("kills", "faults", "disks")


def main(*arguments: str) -> None:
    options = parsed(arguments)
    if sys.platform != "linux":
        raise UserError("chaos: needs /proc, which only Linux has")
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        numbers = campaign(options, Path(folder).resolve(), say)
    if options.out:
        from bench.cost.record import record  # imports torch

        record(options.out, "_".join(["chaos", *(options.only or [])]), numbers, lines)
    if not numbers["good"]:
        sys.exit(1)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="posterior-bench chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", default="chaos", help="a name in config/, or a YAML file")
    parser.add_argument("--only", action="append", choices=TRIALS, help="what to try")
    parser.add_argument("--kills", type=int, default=20, help="number of kills")
    parser.add_argument(
        "--faults", type=int, default=60, help="number of damaged files; 0: each kind in each way"
    )
    parser.add_argument("--cores", type=int, default=2, help="cores of each run")
    parser.add_argument("--seed", type=int, default=0, help="seed of times and choices")
    parser.add_argument(
        "--out", type=Path, help="folder for chaos.json and chaos.md, or chaos_kills.json and so on"
    )
    return parser.parse_args(arguments)


def campaign(options: argparse.Namespace, folder: Path, say: Say) -> Json:
    """Run the suite undisturbed, then do the trials that were asked for, and return the results."""
    suite = suite_file(options.suite).resolve()
    name = read_yaml(suite)["name"]
    shops = {
        what: Workshop(folder / what, suite, name, options.cores) for what in ("whole", *TRIALS)
    }
    whole, begin = shops["whole"], time.monotonic()
    if (ended := whole.run()).status != 0:
        raise UserError(f"suite {name} fails undisturbed: {' '.join(ended.errors)}")
    seconds = time.monotonic() - begin
    say(
        f"suite {name}, undisturbed: {seconds:.0f} s, {len(whole.files())} files, {len(whole.tensors())} of tensors"
    )
    found: Json = {"suite": name, "cores": options.cores, "seed": options.seed, "seconds": seconds}
    return found | trials(options, shops, say)


def trials(options: argparse.Namespace, shops: Mapping[str, Workshop], say: Say) -> Json:
    """Do the trials that were asked for, and compare each with the undisturbed run."""
    whole, asked = shops["whole"], options.only or TRIALS
    found: Json = {"good": True}
    tensors, rng = whole.tensors(), random.Random(options.seed)
    if "kills" in asked:
        kills, wrong = kill_runs(shops["kills"], options.kills, tensors, rng, say)
        found["good"] &= summarise_kills(kills, wrong, say)
        found |= {"kills": [asdict(kill) for kill in kills], "differing": sorted(wrong)}
    if "disks" in asked:
        size = sum(path.stat().st_size for path in whole.folder.rglob("*") if path.is_file())
        shortages = try_disks(shops["disks"], size, tensors, say)
        found["good"] &= summarise_disks(shortages, say)
        found["disks"] = [asdict(shortage) for shortage in shortages]
    if "faults" in asked:  # last, in the folder of the undisturbed run, which is whole until then
        faults = all_faults(sorted(whole.files()), rng)[: options.faults or None]
        damage_files(whole, faults, tensors, say)
        found["good"] &= summarise_faults(faults, say)
        found["faults"] = [asdict(fault) | {"kind": fault.kind} for fault in faults]
    return found


def summarise_kills(kills: Sequence[Kill], wrong: set[str], say: Say) -> bool:
    """Print a summary of the kills; return whether nothing was left behind and all tensors have the same bits."""
    late = [kill for kill in kills if kill.cleared is None]
    longest = max((kill.cleared for kill in kills if kill.cleared is not None), default=0.0)
    say(
        f"{len(kills)} kills: nothing left after {longest:.1f} s at most; {len(late)} left something after 30 s; "
        f"files of tensors that differ: {len(wrong)}"
    )
    return not late and not wrong


def summarise_disks(shortages: Sequence[Shortage], say: Say) -> bool:
    """Print a summary of the disks; return whether each run reported its disk in one line and all could be restored."""
    told = [x for x in shortages if x.status == 0 or x.errors and not x.traceback]
    whole = [x for x in shortages if not x.wrong]
    say(
        f"{len(shortages)} disks: {len(told)} told in one line without a traceback, {len(whole)} with the same bits "
        "after the same command"
    )
    return len(told) == len(whole) == len(shortages)


def summarise_faults(faults: Sequence[Fault], say: Say) -> bool:
    """Print how many faults had which outcome; return whether each was refused in one line or mended."""
    counts = Counter(fault.outcome for fault in faults)
    say(f"{len(faults)} faults: " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    return set(counts) <= {"refused", "made anew"}


if __name__ == "__main__":
    run(main, leased=False)
