"""Numbers of the default suite in documents are the published ones, and the tables show what the documents say."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
BOX, PHASE = "gmm-inpaint-box", "gmm-phase"
PRIOR, MAP = "gmm-denoise-prior", "gmm_map-denoise"
NUMBER = r"(-?\d+(?:\.\d+)?)"
# text of docs/statistics.md, with # for numbers, and (task, row, metrics added up) of each
WORDS = {
    "DPS is near in `energy` and far in it (# against # of APS)": [
        (BOX, "dps", "sw2sq-128_white"),
        (BOX, "aps", "sw2sq-128_white"),
    ],
    "(`gmm-inpaint-box` #, worth #), but": [
        (BOX, "dps", "energy"),
        (BOX, "dps", "worth_energy"),
    ],
    "0.9-intervals hold # of exact draws": [(BOX, "dps", "coverage_exact@0.9")],
    "the whitened distance, #, says": [(BOX, "dps", "sw2sq-128_white")],
    "(`dps-paper`) that distance is #, the interval holds #": [
        (BOX, "dps-paper", "sw2sq-128_white"),
        (BOX, "dps-paper", "coverage_exact@0.9"),
    ],
    "On `gmm-phase` (#), whose posterior has several modes, its samples": [
        (PHASE, "dps", "energy")
    ],
    "(`gmm_map-denoise` #, worth #), level with HMC in the same space (#, worth #)": [
        (MAP, "latent_langevin", "energy"),
        (MAP, "latent_langevin", "worth_energy"),
        (MAP, "hmc-latent", "energy"),
        (MAP, "hmc-latent", "worth_energy"),
    ],
    "(R-hat from # to #)": [
        (PHASE, "latent_langevin", "rhat"),
        (BOX, "latent_langevin", "rhat"),
    ],
    "64 states are worth # and # draws": [
        (PHASE, "latent_langevin", "worth_energy"),
        (BOX, "latent_langevin", "worth_energy"),
    ],
    "worth # on `gmm-inpaint-box` and # on `gmm-phase`": [
        (BOX, "hmc-data", "worth_energy"),
        (PHASE, "hmc-data", "worth_energy"),
    ],
    "at the cost of # rows a sample against # of DPS": [
        (BOX, "hmc-data", "nfe", "nfe_vjp"),
        (BOX, "dps", "nfe", "nfe_vjp"),
    ],
    "(diversity # of the posterior's on `gmm-inpaint-box`) and together worth # of one exact draw": [
        (BOX, "cps-released", "diversity_ratio"),
        (BOX, "cps-released", "worth_energy"),
    ],
    "larger noise, #, and # with the correct drift": [
        (MAP, "cps-released", "worth_energy"),
        (MAP, "cps-released-correct", "worth_energy"),
    ],
    "ODS is about as near as DPS (# and #) and a little too wide (diversity #)": [
        (PRIOR, "ods", "energy"),
        (PRIOR, "dps", "energy"),
        (PRIOR, "ods", "diversity_ratio"),
    ],
    "ELBO #, log Z #, exactly #.": [
        (PRIOR, "ods", "elbo"),
        (PRIOR, "ods", "log_z"),
        (PRIOR, "reference", "log_z"),
    ],
    "is too narrow there (#) and does not beat": [(PRIOR, "aps", "diversity_ratio")],
    "`aps` is at #, and `aps-npe`, the same network trained on simulated pairs alone, at #.": [
        (BOX, "aps", "energy"),
        (BOX, "aps-npe", "energy"),
    ],
    "Without pairs (`aps-paper`) it is at #.": [(BOX, "aps-paper", "energy")],
    "is at # on `gmm-denoise-prior` (worth # of 64), and PiGDM,": [
        (PRIOR, "pnp_dm", "energy"),
        (PRIOR, "pnp_dm", "worth_energy"),
    ],
    "which needs # rows forward and back, at # (worth #)": [
        (PRIOR, "pigdm", "nfe"),
        (PRIOR, "pigdm", "energy"),
        (PRIOR, "pigdm", "worth_energy"),
    ],
    "spend # rows a sample: # on `gmm-inpaint-box` (worth #) and # on `gmm-phase` (worth #)": [
        (BOX, "tds", "nfe", "nfe_vjp"),
        (BOX, "tds", "energy"),
        (BOX, "tds", "worth_energy"),
        (PHASE, "tds", "energy"),
        (PHASE, "tds", "worth_energy"),
    ],
    "log Z on the box is #, exactly #;": [(BOX, "tds", "log_z"), (BOX, "reference", "log_z")],
    "the fewest rows, #: worth # on the box": [
        (BOX, "ddrm", "nfe"),
        (BOX, "ddrm", "worth_energy"),
    ],
    "# and # on `photos-inpaint-box`, # and # on `photos-sr4`, # and # on `photos-sr8`": [
        (f"photos-{task}", row, "energy")
        for task in ("inpaint-box", "sr4", "sr8")
        for row in ("dps", "ddrm")
    ],
    "exact draws of the map's posterior are at # from it": [(MAP, "reference", "energy_total")],
    "PiGDM has # and PnP-DM # in it, where exact draws have #; in `energy` they have # and #.": [
        (PRIOR, "pigdm", "sw2-128"),
        (PRIOR, "pnp_dm", "sw2-128"),
        (PRIOR, "reference", "sw2-128"),
        (PRIOR, "pigdm", "energy"),
        (PRIOR, "pnp_dm", "energy"),
    ],
    "made by particles, that of `sw2sq-128_white` is # [": [(MAP, "reference", "sw2sq-128_white")],
    "too large by as much (latent Langevin has #)": [(MAP, "latent_langevin", "sw2sq-128_white")],
    "on `gmm-inpaint-box` in # and # seconds of processor time": [
        (BOX, "ods", "train_seconds"),
        (BOX, "aps", "train_seconds"),
    ],
}


@pytest.fixture(scope="module")
def published() -> dict[tuple[str, str, str], dict[str, str]]:
    path = REPOSITORY / "results/reference/default/summary.csv"
    with open(path, newline="") as file:
        return {(x["task"], x["method"], x["metric"]): x for x in csv.DictReader(file)}


@pytest.mark.parametrize("words", WORDS)
def test_numbers_in_the_page_on_statistics_are_those_published(published, words):
    page = " ".join((REPOSITORY / "docs/statistics.md").read_text().split())
    pattern = re.escape(words).replace(r"\#", NUMBER).replace("#", NUMBER)
    (found,) = re.finditer(pattern, page)
    for shown, (task, row, *metrics) in zip(found.groups(), WORDS[words], strict=True):
        mean = sum(float(published[task, row, metric]["mean"]) for metric in metrics)
        digits = len(shown.partition(".")[2])
        assert abs(mean - float(shown)) <= 0.51 * 10.0**-digits, (task, row, metrics)


def published_lines(metric: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return the lines of a metric of all published suites by suite, task and row."""
    found = {}
    for path in sorted((REPOSITORY / "results/reference").glob("*/summary.csv")):
        with path.open(newline="") as file:
            lines = [x for x in csv.DictReader(file) if x["metric"] == metric]
        found |= {(path.parent.name, x["task"], x["method"]): x for x in lines}
    return found


def test_the_page_on_statistics_names_each_published_row_with_an_effective_sample_size():
    shown = {key: x for key, x in published_lines("ess_bulk").items() if x["mean"]}
    worth = published_lines("worth_energy")
    page = " ".join((REPOSITORY / "docs/statistics.md").read_text().split())
    words = page.partition("published rows show an effective sample size")[2].partition(" HMC and")[
        0
    ]
    stated = re.findall(r"`([\w-]+)` on `([\w-]+)`[^(]*\((\d+)(?: of 64)?; worth (\d+)\)", words)
    assert {(task, row) for row, task, *_ in stated} == {key[1:] for key in shown}
    for (suite, task, row), line in shown.items():
        assert f"`{suite}`" in words
        numbers = (f"{float(x['mean']):.0f}" for x in (line, worth[suite, task, row]))
        assert (row, task, *numbers) in stated


def test_floors_on_tasks_of_consistency_models_are_those_stated():
    page = " ".join((REPOSITORY / "docs/statistics.md").read_text().split())
    words = page.partition("On the three tasks of `consistency`")[2].partition(". Distances")[0]
    (ends,) = re.findall(
        r"`energy` is ([\d.]+) to ([\d.]+), .* are worth (\d+) to (\d+)$",
        words.split(". ")[0].rstrip("."),
    )
    for metric, low, high, digits in (("energy", *ends[:2], 3), ("worth_energy", *ends[2:], 0)):
        lines = published_lines(metric)
        means = [
            float(x["mean"])
            for (suite, task, row), x in lines.items()
            if suite == "digits" and task.startswith("consistency") and row == "reference"
        ]
        assert [f"{x:.{digits}f}" for x in (min(means), max(means))] == [low, high], metric


def test_walks_from_each_paper_to_ours_have_the_published_distances():
    energies = published_lines("energy")
    tasks: list[str] = []
    compared = 0
    for line in (REPOSITORY / "docs/ablations.md").read_text().splitlines():
        head, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if "one change a row" in head:
            tasks = [cell.strip("`") for cell in cells]
        row = re.match(r"`([a-z]+[\w-]*)`: ", head)
        if not (line.startswith("|") and row):
            continue
        for task, cell in zip(tasks, cells, strict=True):
            mean = energies.get(("ablations", task, row[1]), {}).get("mean", "")
            if cell == "–":
                assert not mean, (row[1], task)
                continue
            digits = len(cell.partition(".")[2])
            assert abs(float(mean) - float(cell)) <= 0.51 * 10.0**-digits, (row[1], task)
            compared += 1
    assert compared == 2 * 4 + 2 * 8 + 2 * 7 + 1 + 4


def test_effects_in_the_page_on_claims_are_those_of_the_ledger():
    with open(REPOSITORY / "results/reference/claims/claims.csv", newline="") as file:
        ledger = {line["id"]: line for line in csv.DictReader(file)}
    page = " ".join((REPOSITORY / "docs/claims.md").read_text().split())
    quoted = re.findall(rf"`([a-z0-9-]+)`, {NUMBER}", page)
    assert len(quoted) >= 10
    for claim, shown in quoted:
        digits = len(shown.partition(".")[2])
        assert abs(float(ledger[claim]["effect"]) - float(shown)) <= 0.51 * 10.0**-digits, claim
    counts = Counter(line["verdict"] for line in ledger.values())
    words = (
        f"Of its {len(ledger)} claims {counts['supported']} are supported, {counts['not supported']} are not, "
        f"and {counts['not testable here']} are not testable"
    )
    assert words in page


@pytest.mark.parametrize("suite", ["photos", "fashion", "sphere", "claims", "digits", "ablations"])
def test_the_exact_sampler_of_other_suites_is_at_the_floor_and_worth_its_number(suite):
    """99 % intervals of up to ten tasks: a single one may miss."""
    num_samples = yaml.safe_load((REPOSITORY / f"config/{suite}.yaml").read_text())["num_samples"]
    truths = {"energy": 0.0, "worth_energy": num_samples, "worth_mean": num_samples}
    with open(REPOSITORY / f"results/reference/{suite}/summary.csv", newline="") as file:
        lines = [x for x in csv.DictReader(file) if x["method"] == "oracle" and x["mean"]]
    judged = [x for x in lines if x["metric"] in truths]
    missed = [
        (x["task"], x["metric"])
        for x in judged
        if not float(x["low"]) <= truths[x["metric"]] <= float(x["high"])
    ]
    assert len(judged) >= 6 and len(missed) <= 1, missed


@pytest.mark.parametrize(
    ("suite", "title", "averages"),
    [("photos", "photographs", "sr8"), ("fashion", "garments", "sr7")],
)
def test_kinds_of_methods_on_images_have_the_published_distances(suite, title, averages):
    page = (REPOSITORY / "docs/which-method.md").read_text().partition(f"## On {title}")[2]
    page = page.partition("\n## ")[0]
    with open(REPOSITORY / f"results/reference/{suite}/summary.csv", newline="") as file:
        lines = [x for x in csv.DictReader(file) if x["metric"] == "energy"]
    energies = {(x["task"], x["method"]): x["mean"] for x in lines}
    stated = re.findall(r"^\| [\w ]+ \| `([\w-]+)` \| (.+) \|$", page, re.MULTILINE)
    assert len(stated) >= 15
    for method, cells in stated:
        for task, cell in zip(
            ("inpaint-box", "sr4", averages, "deblur"), cells.split(" | "), strict=True
        ):
            mean = energies.get((f"{suite}-{task}", method), "")
            digits = len(cell.partition(".")[2])
            assert mean == "" if cell == "–" else f"{float(mean):.{digits}f}" == cell, (
                method,
                task,
            )


def test_the_exact_sampler_is_at_the_floor_and_worth_its_number(published):
    """99 % intervals: of thirty that are not independent one may miss."""
    missed = []
    photos = ("photos-inpaint-box", "photos-sr4", "photos-sr8")
    for task in (BOX, PHASE, PRIOR, "atoms-inpaint-box", *photos):
        names = ("energy", "sw2sq-128", *(["sw2sq-128_white"] if task not in photos else []))
        distances = dict.fromkeys(names, 0.0)
        for metric, truth in (
            distances | dict.fromkeys(("worth_energy", "worth_mean"), 64)
        ).items():
            line = published[task, "oracle", metric]
            if not float(line["low"]) <= truth <= float(line["high"]):
                missed.append((task, metric))
    assert len(missed) <= 1, missed


def test_trained_rows_have_their_spread_over_seeds_after_their_intervals():
    page = (REPOSITORY / "results/reference/default/distance.md").read_text()
    head, _, *rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    for method in ("aps", "ods"):
        place = [cell.strip() for cell in head].index(method)
        cells = [row[place].strip() for row in rows if "[" in row[place] and "rank" not in row[0]]
        assert cells and all(re.search(r"\] \(seeds [\d.]+\)$", cell) for cell in cells), cells


def test_the_page_on_kinds_has_the_published_numbers_of_the_suite_of_budgets():
    folder = REPOSITORY / "results/reference/budget"
    page = (REPOSITORY / "docs/which-method.md").read_text().partition("## On photographs")[0]
    with (folder / "figures/budget.csv").open() as file:
        rows = [x for x in csv.DictReader(file) if x["measurements"] == "10"]
    worths = {x["row"]: float(x["mean"]) for x in rows if x["metric"] == "worth_energy"}
    stated = re.findall(r"^\| \w+ \| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert len(stated) == len({row.rpartition("-b")[0] for row in worths})
    for method, *cells in stated:
        for budget, cell in zip((100, 450, 2000), cells, strict=True):
            worth = worths.get(f"{method}-b{budget}")
            assert (
                (cell == "n/a") if worth is None else float(cell) == pytest.approx(worth, rel=0.05)
            )
    with (folder / "summary.csv").open() as file:
        lines = [x for x in csv.DictReader(file) if x["metric"] == "energy"]
    energies = {(x["task"], x["method"]): x["mean"] for x in lines}
    best = re.findall(r"^\| `(gmm-[\w-]+)` \| (.+) \|$", page, re.MULTILINE)
    assert len(best) == 8
    for task, cells in best:
        for method, energy in re.findall(r"`(\w+)` ([\d.]+)", cells):
            assert float(energies[task, f"{method}-b2000"]) == pytest.approx(
                float(energy), rel=0.05
            )


def test_the_page_on_priors_has_the_published_distances_with_a_learned_score():
    page = (REPOSITORY / "docs/priors-and-truth.md").read_text()
    page = page.partition("### What a learned score costs")[2].partition("\n## ")[0]
    with (REPOSITORY / "results/reference/photos-learned/summary.csv").open() as file:
        lines = {(x["task"], x["method"], x["metric"]): x for x in csv.DictReader(file)}
    rows = re.findall(r"^\| `([\w-]+)` \(.+?\) \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for task, *cells in rows:
        for method, cell in zip(("dps", "mmps", "ddrm"), cells, strict=True):
            line = lines[task, method, "energy"]
            stated = [float(x) for x in re.findall(r"-?[\d.]+", cell)]
            published = [float(line[name]) for name in ("mean", "low", "high")]
            assert stated == pytest.approx(published, rel=0.06, abs=0.01), (task, method)
    rises = [
        float(lines[f"photos_edm_mfa-{task}", method, "energy"]["mean"])
        - float(lines[f"photos-{task}", method, "energy"]["mean"])
        for task in ("inpaint-box", "sr8")
        for method in ("dps", "mmps", "ddrm")
    ]
    assert min(rises) == pytest.approx(0.6, abs=0.06) and max(rises) == pytest.approx(1.7, abs=0.06)
