"""The paths of all artefacts. Each is written here once, and nowhere else in the project.

<root> is results/<suite>. All paths are relative to the working directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("results")
# committed: the papers' numbers, and ours
PUBLISHED, REFERENCE = RESULTS / "published", RESULTS / "reference"
COSTS = REFERENCE / "costs"  # what the jobs of each suite took

# names in tables/
TABLES = ("summary.csv", "comparisons.csv", "summary.md", "summary.tex")
VERDICT = "verdict.md"  # the tables in words: which methods are best, whether the metrics hold up, what failed
TIMING_TABLES = ("timing.csv", "timing.md")  # of a suite that measures only times
PUBLISHED_TABLES = ("published.csv", "published.md")  # the papers' numbers beside ours
REPRODUCTION_TABLES = ("reproduction.csv", "reproduction.md")
CLAIMS_TABLES = ("claims.csv", "claims.md")
CLAIMS = "claims"  # the suite whose ledger of claims is published, and quoted by the others
FIGURE_KINDS = ("pdf", "png", "csv")  # files of each figure


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, `runs/<task>/<method>/seed<seed>/`."""

    folder: Path

    @property
    def samples(self) -> Path:
        return self.folder / "samples.safetensors"

    @property
    def cost(self) -> Path:
        return self.folder / "cost.json"

    @property
    def state(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def training(self) -> Path:
        return self.folder / "training.json"

    @property
    def of_training(self) -> tuple[Path, Path]:
        """Return the files that training writes."""
        return self.state, self.training

    @property
    def timing(self) -> Path:
        return self.folder / "timing.json"

    def visit(self, number: int | str) -> Path:
        return self.folder / "visits" / f"{number}.json"


@dataclass(frozen=True)
class TaskFiles:
    """The files of one task, `tasks/<task>/`."""

    folder: Path

    @property
    def all_measurements(self) -> Path:
        """Return the file with every test and validation image measured."""
        return self.folder / "all_measurements.safetensors"

    @property
    def measurements(self) -> Path:
        """Return the file with the measurements that all methods get."""
        return self.folder / "observations.safetensors"

    @property
    def reference(self) -> Path:
        """Return the file with the reference draws."""
        return self.folder / "exact.safetensors"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.csv"


@dataclass(frozen=True)
class Layout:
    """The folder of one suite."""

    root: Path

    @classmethod
    def of_suite(cls, name: str) -> Layout:
        return cls(RESULTS / name)

    def data(self, dataset: str) -> Path:
        return self.root / "data" / f"{dataset}.safetensors"

    def prior(self, prior: str, family: str) -> Path:
        return self.root / "priors" / prior / f"{family}.safetensors"

    def classifier(self, classifier: str) -> Path:
        return self.root / "classifiers" / classifier / f"{classifier}.safetensors"

    def task(self, task: str) -> TaskFiles:
        return TaskFiles(self.root / "tasks" / task)

    def run(self, task: str, method: str, seed: int | str) -> RunFiles:
        return RunFiles(self.root / "runs" / task / method / f"seed{seed}")

    def tuning(self, task: str, method: str, name: str = "trials") -> Path:
        return self.root / "tuning" / task / method / f"{name}.csv"

    def table(self, name: str) -> Path:
        return self.root / "tables" / name

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    def figure(self, figure: str, kind: str) -> Path:
        return self.figures / f"{figure}.{kind}"

    def figure_files(self, figure: str) -> tuple[Path, ...]:
        return tuple(self.figure(figure, kind) for kind in FIGURE_KINDS)

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def job_log(self) -> Path:
        """Return the file to which each job adds what it took; no artefact."""
        return self.root / "jobs.log"

    def spec(self, *names: str) -> Path:
        """Return the path of a spec, e.g. `spec("runs", task, method, "seed0")`."""
        return self.root.joinpath("specs", *names).with_name(f"{names[-1]}.json")
