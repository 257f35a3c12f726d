"""A results folder as the pipeline leaves it, from random numbers.

Four tasks, one of them with a distilled map as prior, and seven methods, of which one is trained and one sees the first
measurements only; a run failed, one is n/a, and one is left out by the suite.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from bench.core.artefacts import read_csv, read_json, write_csv, write_json, write_tensors
from bench.core.text import csv_text
from bench.metrics._evaluation import built_in_columns

NUM_MEASUREMENTS, NUM_SAMPLES = 16, 24
PROVENANCE = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False}
METHODS = ("oracle", "unconditional", "dps", "dps-n1000", "latent_langevin", "aps", "ods-single")
TASKS = {
    "gmm-inpaint-box": ("inpaint-box", {"box": 4}, (1, 8, 8)),
    "gmm-phase": ("phase", {"oversample": 2.0}, (1, 12, 12)),
    "atoms-sr4": ("average-pool", {"factor": 4}, (1, 2, 2)),
    "gmm_map-denoise": ("denoise", {}, (1, 8, 8)),
}
LEFT_OUT = (("gmm-phase", "ods-single"), ("atoms-sr4", "ods-single"))
RESTRICTED = {"ods-single": 3}  # method -> number of measurements
# the samples of other methods are independent
JOINT = {"oracle": "coupled", "latent_langevin": "chain"}
SEES_DENOISER = ("dps", "dps-n1000", "aps")
TRAINING = {"aps": (30.0, 400_000)}  # method -> seconds and rows
LEVELS = tuple(round(0.1 * i, 1) for i in range(1, 10))
# how wrong each method is: shift of its samples and factor of their spread
WRONG = {"reference": (0, 1), "oracle": (0, 1), "unconditional": (0.5, 2.2)}
WRONG |= {"dps": (0.2, 0.6), "dps-n1000": (0.1, 0.85), "latent_langevin": (0.05, 1.1)}
WRONG |= {"aps": (0.05, 0.45), "ods-single": (0.02, 1.05)}
BIAS = 0.06  # of the map
FAMILIES = {"gmm": "gmm", "atoms": "atoms", "gmm_map": "regression_map"}
NO_TEACHER = "n/a (prior is not a distilled map of an exact one)"
WORTH = (5.0, 7.0)  # of a chain's samples in exact draws, of even and of odd measurements
FAILURE = "failed (ValueError: step 17 gave | values_of 100% NaN)"


def write_results(root: Path, provenance: dict = PROVENANCE) -> Path:
    """Write the whole folder and return the path of its suite spec."""
    for number, task in enumerate(TASKS):
        _write_task(root, task, np.random.default_rng(number), provenance)
    spec = root / "specs" / "suite.json"
    numbers = {"seeds": [0], "num_measurements": NUM_MEASUREMENTS, "num_samples": NUM_SAMPLES}
    names = {"name": "synthetic", "tasks": list(TASKS), "methods": METHODS, "left_out": LEFT_OUT}
    write_json(spec, {"root": str(root), **names, **numbers, "claims": True})
    for task in TASKS:
        prior = task.split("-")[0]
        about = {
            "root": str(root),
            "prior": prior,
            "family": FAMILIES[prior],
            "num_samples": NUM_SAMPLES,
        }
        runs = [
            {"method": method, "seed": 0} for method in METHODS if (task, method) not in LEFT_OUT
        ]
        write_json(
            spec.with_name("evaluate") / f"{task}.json", about | {"task": task, "runs": runs}
        )
    return spec


def write_published() -> Path:
    """Write results, their tables, and these published, all in the working directory; return the suite's spec."""
    from bench.core.layout import REFERENCE
    from bench.report.publish import publish_suite
    from bench.stages import tables
    from bench.stats.results import load

    spec = write_results(Path("results/synthetic"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "provenance", lambda: PROVENANCE)
        tables.main(str(spec))
    publish_suite(load(spec), (), REFERENCE / "synthetic", allow_dirty=True)
    return spec


def status(task: str, method: str) -> tuple[str, str]:
    if (task, method) == ("atoms-sr4", "latent_langevin"):
        return "n/a", "needs DECODER"
    if (task, method) == ("gmm-phase", "dps-n1000"):
        return "failed", FAILURE.removeprefix("failed (").removesuffix(")")
    return "ok", ""


def _write_task(root: Path, task: str, rng: np.random.Generator, provenance: dict) -> None:
    operator, parameters, y_shape = TASKS[task]
    folder, common = (
        root / "tasks" / task,
        {"observations_sha256": f"hash-of-{task}", "provenance": provenance},
    )
    truth = _digits(rng, NUM_MEASUREMENTS)
    seen = {"x_true": truth, "y": rng.normal(size=(NUM_MEASUREMENTS, *y_shape)).astype(np.float32)}
    if operator == "inpaint-box":
        seen["mask"] = np.ones_like(truth)
        seen["mask"][..., 2:6, 2:6] = 0
        seen["y"] = (truth + 0.05 * seen["y"]) * seen["mask"]
    prior = task.split("-")[0]
    header = {
        "task": task,
        "prior": prior,
        "family": FAMILIES[prior],
        "dataset": "digits",
        "operator": operator,
    }
    header |= {"parameters": parameters, "sigma_y": 0.1}
    write_tensors(folder / "observations.safetensors", seen, {**header, **common})
    about = {"prior": prior, "settings": {}, "provenance": provenance}
    write_tensors(
        root / "priors" / prior / f"{FAMILIES[prior]}.safetensors", {"x": np.zeros(1)}, about
    )
    exact = {name: _samples(truth, rng, 0, 1, 64) for name in ("x_a", "x_b")}
    exact |= {"mean": exact["x_a"].mean(1), "std": exact["x_a"].std(1)}
    known = {
        "admitted": [True] * NUM_MEASUREMENTS,
        "reasons": [""] * NUM_MEASUREMENTS,
        "checks": {},
    }
    if prior == "gmm_map":
        exact |= {
            f"teacher_{name}": tensor
            for name, tensor in zip(("a", "b", "mean", "std"), exact.values(), strict=True)
        }
        known |= {"kind": "tempered SMC in z", "posterior_perplexity": None, "perplexity_of": None}
    else:
        known |= {"kind": "closed form", "perplexity_of": "components"}
        known |= {"posterior_perplexity": [2.5] * NUM_MEASUREMENTS}
    write_tensors(folder / "exact.safetensors", exact, {**known, **common})
    for method in METHODS:
        if (task, method) not in LEFT_OUT:
            _write_run(root / "runs" / task / method / "seed0", task, method, truth, rng, common)
    definitions = {"sw2-128": "sliced Wasserstein-2 distance to reference draws, 128 directions"}
    definitions["energy"] = "unbiased energy distance to reference draws"
    definitions |= dict.fromkeys(
        ("sw2-128_total", "energy_total"), "the same to the teacher's posterior"
    )
    about = {
        "definitions": definitions,
        "better": {
            c.id: c.better
            for c in built_in_columns()
            if c.extent == "measurement" and c.better is not None
        },
        "harmonic": ["worth_energy", "worth_mean"],
    }
    write_csv(folder / "metrics.csv", _metrics(task, rng), {**about, **common})


def _write_run(
    folder: Path, task: str, method: str, truth: np.ndarray, rng: np.random.Generator, common: dict
) -> None:
    state, reason = status(task, method)
    shift, spread = WRONG[method]
    x = _samples(truth, rng, shift, spread, NUM_SAMPLES if state == "ok" else 0)
    measured = RESTRICTED.get(method, NUM_MEASUREMENTS)
    x[measured:] = np.nan
    header = {
        "task": task,
        "method": method,
        "seed": 0,
        "status": state,
        "reason": reason,
        **common,
    }
    if task.startswith("gmm_map") and method in SEES_DENOISER:
        header["borrowed"] = ["DENOISER"]
    header |= {"joint": JOINT.get(method, "independent") if state == "ok" else "independent"}
    write_tensors(folder / "samples.safetensors", {"x": x}, header | {"num_measurements": measured})
    steps = {"dps": 200, "dps-n1000": 1000, "latent_langevin": 12000, "ods-single": 3000}.get(
        method, 0
    )
    cost = {
        "nfe": steps,
        "nfe_vjp": steps,
        "rows": measured * NUM_SAMPLES,
        "seconds": 0.01 + 0.02 * steps,
    }
    seconds, rows = TRAINING.get(method, (0.0, 0))
    write_json(
        folder / "cost.json",
        cost | {"train_seconds": seconds, "train_nfe": rows, "train_nfe_vjp": rows},
    )
    if method in TRAINING:
        about = {key: value for key, value in header.items() if key != "observations_sha256"}
        write_tensors(folder / "state.safetensors", {"weight": np.zeros(1)}, about)


def _metrics(task: str, rng: np.random.Generator) -> str:
    hardness = rng.gamma(8, 1 / 8, size=NUM_MEASUREMENTS)
    rows = []
    for method in ("reference", *(m for m in METHODS if (task, m) not in LEFT_OUT)):
        shift, spread = WRONG[method]
        for i in range(NUM_MEASUREMENTS):
            words = _why_not(task, method, i)
            values = _values(shift, spread, hardness[i], rng)
            if JOINT.get(method) == "chain":
                values["worth_energy"] = WORTH[i % 2]
            if task.startswith("gmm_map"):
                values |= {
                    f"{name}_total": values[name] + BIAS
                    for name in ("sw2-128", "energy", "mean_error")
                }
            for metric, value in values.items():
                rows.append((task, method, 0, i, metric, None if words else float(value), words))
            absent = (
                ()
                if task.startswith("gmm_map")
                else ("sw2-128_total", "energy_total", "mean_error_total")
            )
            rows += [(task, method, 0, i, metric, None, words or NO_TEACHER) for metric in absent]
            rows.append((task, method, 0, i, "rhat", None, words or "n/a (not a chain)"))
            joint = JOINT.get(method, "independent")
            worth = None if words or joint != "chain" else WORTH[i % 2]
            rows.append(
                (
                    task,
                    method,
                    0,
                    i,
                    "ess_bulk",
                    worth,
                    "" if worth else words or f"n/a ({joint} samples)",
                )
            )
        words = _why_not(task, method, NUM_MEASUREMENTS - 1)
        for metric, value in _shares(spread).items():
            rows.append((task, method, 0, "all", metric, None if words else value, words))
    return csv_text(("task", "method", "seed", "observation", "metric", "value", "reason"), rows)


def _why_not(task: str, method: str, i: int) -> str:
    state, reason = status(task, method) if method != "reference" else ("ok", "")
    if state != "ok":
        return f"{state} ({reason})"
    num = RESTRICTED.get(method, NUM_MEASUREMENTS)
    return "" if i < num else f"n/a (only the first {num} measurements)"


def _values(
    shift: float, spread: float, hardness: float, rng: np.random.Generator
) -> dict[str, float]:
    jitter = 1 + 0.1 * rng.normal(size=12)
    wrong = shift + abs(np.log(spread)) / 2
    values = {
        "psnr_mean": 22 - 12 * shift + 2 * rng.normal(),
        "psnr_sample": 19 - 12 * shift + 2 * rng.normal(),
        "chi2_sample": (1 + 30 * shift) * jitter[0],
        "sw2-128": (0.04 + 0.6 * wrong) * hardness * jitter[1],
        "energy": 3 * wrong**2 * hardness + 0.01 * rng.normal(),
        "worth_energy": 1 / ((1 / NUM_SAMPLES + wrong**2) * hardness * jitter[6]),
        "worth_mean": 1 / ((1 / NUM_SAMPLES + shift**2) * hardness * jitter[7]),
        "c2st-energy": 0.5 + 0.5 * np.tanh(3 * wrong) + 0.01 * rng.normal(),
        "mean_error": (0.03 + shift) * hardness * jitter[2],
        "std_ratio": spread * jitter[3],
        "diversity_ratio": spread**2 * jitter[4],
        "vendi_ratio": spread * jitter[5],
    }
    return values | {
        f"coverage_exact@{level}": np.clip(level ** (1 / spread) - 0.3 * shift, 0, 1)
        for level in LEVELS
    }


def _shares(spread: float) -> dict[str, float]:
    """Of measurements, by level, with the ends of their intervals."""
    shares = {
        f"{name}_x_true@{level}": level ** (1 / spread)
        for name in ("tarp", "sbc-misfit")
        for level in LEVELS
    }
    ends = {f"{id}_low": max(0.0, share - 0.3) for id, share in shares.items()}
    return shares | ends | {f"{id}_high": min(1.0, share + 0.3) for id, share in shares.items()}


def _samples(
    truth: np.ndarray, rng: np.random.Generator, shift: float, spread: float, num: int
) -> np.ndarray:
    noise = rng.normal(size=(len(truth), num, *truth.shape[1:])) * np.linspace(
        0.05, 0.4, truth.shape[-1]
    )
    return np.float32(truth[:, None] * (1 - shift) + spread * noise)


def _digits(rng: np.random.Generator, num: int) -> np.ndarray:
    """Blobs and strokes of 8 x 8 that look enough like digits to judge a figure by."""
    across = np.linspace(-1, 1, 8)
    x, y = np.meshgrid(across, across)
    radius = np.hypot(x * rng.uniform(1, 1.7, (num, 1, 1)), y - 0.3 * rng.normal(size=(num, 1, 1)))
    return np.float32(np.clip(2.2 * np.exp(-12 * (radius - 0.55) ** 2) - 1, -1, 1))[:, None]


def summary_of(spec: Path) -> dict[tuple[str, str, str], dict]:
    rows = csv.DictReader(io.StringIO(read_csv(spec.parents[1] / "tables" / "summary.csv")[0]))
    return {(row["task"], row["method"], row["metric"]): row for row in rows}


def edit_metrics(spec: Path, edit) -> None:
    """Rewrite one task's metrics.csv row by row; `edit` returns the new (value, reason) of a row."""
    path = spec.parents[1] / "tasks" / "gmm-phase" / "metrics.csv"
    text, info = read_csv(path)
    rows = [
        {**row, **dict(zip(("value", "reason"), edit(row), strict=True))}
        for row in csv.DictReader(io.StringIO(text))
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    write_csv(path, out.getvalue(), info)


def drawn(spec: Path, stem: str) -> list[dict[str, str]]:
    return rows_of(spec.parents[1] / "figures" / f"{stem}.csv")


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read_csv(path)[0])))


def edit_spec(spec: Path, **fields: object) -> None:
    """Give fields of a spec other values."""
    write_json(spec, read_json(spec) | fields)
