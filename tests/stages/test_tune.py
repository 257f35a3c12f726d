"""Tuning: points of the ranges, equal budgets, failures in the log, and a winner that other measurements confirm."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from bench.core.artefacts import read_csv, write_json, write_tensors
from bench.core.errors import UserError
from bench.core.types import Cap, Choice, LogUniform, Uniform
from bench.numerics.sobol import integer_fields, sobol_settings, value_at
from bench.priors import prior_path
from bench.problems.measurements import content_hash
from bench.runtime import run_method
from bench.stages import publish_tuning as committed
from bench.stages import tune

TASK, SIDE = "gmm-denoise", 2
M, S, NUM_TEST = 3, 4, 5


@dataclass(frozen=True)
class Shifted:
    """A sampler around y + shift, best at 0, whose cost is a field."""

    needs: ClassVar[Cap] = Cap.RESIDUAL
    search: ClassVar[dict] = {"shift": Uniform(0.5, 2.0)}
    shift: float = 1.0
    price: float = 10.0

    def sample(self, prior, problem, y, num_samples, *, rng):
        CLOCK[0] += self.price
        SEEN.append(y.clone())
        noise = rng.per_sample.randn(prior.shape)
        SEEN_NOISE.append(noise)
        return (y[:, None] + self.shift + 0.1 * noise) / (1 if self.shift < 1.9 else 0)


@dataclass(frozen=True)
class Trained:
    """Learns a shift from its own random numbers; most of its cost is training."""

    needs: ClassVar[Cap] = Cap.SIMULATE
    search: ClassVar[dict] = {"rate": LogUniform(0.1, 10.0), "num_layers": Uniform(1, 3)}
    rate: float = 1.0
    num_layers: int = 2

    def train(self, prior, problem, *, rng):
        CLOCK[0] += 25.0
        return {"shift": rng.randn((1,))[0]}

    def sample(self, prior, problem, y, num_samples, *, rng, state):
        SEEN_NOISE.append(state["shift"])
        return y[:, None] + self.rate * rng.per_sample.randn(prior.shape)


@dataclass(frozen=True)
class Demanding(Shifted):
    needs: ClassVar[Cap] = Cap.EXACT


CLOCK, SEEN, SEEN_NOISE = [0.0], [], []


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    """Add methods of this file to those in methods/, and a clock that only they advance."""
    classes = {cls.__name__.lower(): cls for cls in (Shifted, Trained, Demanding)}
    monkeypatch.setattr(run_method, "load", lambda kind, name: classes[name])

    def seconds_of(work: Callable[[], object], device: torch.device) -> float:
        begin = CLOCK[0]
        work()
        return CLOCK[0] - begin

    monkeypatch.setattr(tune, "seconds_of", seconds_of)
    SEEN.clear()
    SEEN_NOISE.clear()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A prior of one Gaussian, and measurements in which y = x_true tells test images (far above 0) from validation."""
    root = tmp_path_factory.mktemp("suite")
    means, covariances = torch.zeros(1, 1, SIDE, SIDE), torch.eye(SIDE**2)[None]
    tensors = {"weights": torch.ones(1), "means": means, "covariances": covariances}
    write_tensors(prior_path(root, "gmm", "gmm"), tensors, {"family": "gmm"})
    is_test = torch.arange(NUM_TEST + 2 * M + 1) < NUM_TEST
    x = torch.randn(len(is_test), 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    x[is_test] += 100.0
    all_measurements = {"x_true": x, "y": x, "image_id": torch.arange(len(x)), "is_test": is_test}
    header = {"task": TASK, "operator": "denoise", "parameters": {}, "sigma_y": 0.5}
    header |= {"observations_sha256": content_hash(all_measurements)}
    write_tensors(root / f"tasks/{TASK}/all_measurements.safetensors", all_measurements, header)
    return root


def tuned(
    root: Path,
    module: str,
    *ranges: str,
    seconds: float = 200,
    num_measurements: int = M,
    **settings: object,
) -> tuple[list[dict], dict]:
    """Rows of the log, and its record."""
    spec = {
        "root": str(root),
        "task": TASK,
        "prior": "gmm",
        "family": "gmm",
        "method": module,
        "module": module,
    }
    spec |= {"settings": settings, "rows_per_chunk": 64}
    spec |= {"tune": {"seconds": seconds, "num_measurements": num_measurements, "num_samples": S}}
    write_json(root / f"specs/tune/{TASK}/{module}.json", spec)
    tune.main(str(root / f"specs/tune/{TASK}/{module}.json"), *ranges)
    text, info = read_csv(root / f"tuning/{TASK}/{module}/{'grid' if ranges else 'trials'}.csv")
    return list(csv.DictReader(io.StringIO(text))), info


def of_stage(rows: list[dict], stage: str) -> list[dict]:
    return [row for row in rows if row["stage"] == stage]


def test_a_share_of_each_kind_of_range():
    assert [value_at(Uniform(2.0, 4.0), u) for u in (0.0, 0.5, 0.999999)] == [2.0, 3.0, 4.0]
    assert [value_at(LogUniform(0.01, 100.0), u) for u in (0.0, 0.5, 0.75)] == [0.01, 1.0, 10.0]
    assert [value_at(Choice(("a", None)), u) for u in (0.0, 0.49, 0.5, 1.0)] == [
        "a",
        "a",
        None,
        None,
    ]
    assert value_at(LogUniform(1.0, 3.0), 1 / 3) == 1.44  # 3^(1/3) = 1.44225, as one would write it
    assert value_at(Uniform(0.12345, 0.5), 0.0) == 0.12345  # rounding leads out of no range
    found = value_at(Uniform(1, 9), 0.45, is_integer=True)
    assert found == 5 and isinstance(found, int)


def test_points_fill_the_ranges_evenly_and_again_the_same():
    ranges = {
        "a": Uniform(0.0, 8.0),
        "b": LogUniform(1.0, 256.0),
        "c": Choice((1, 2)),
        "n": Uniform(1, 4),
    }
    found = sobol_settings(ranges, {"n"}, 8, seed=3)
    assert (
        found
        == sobol_settings(ranges, {"n"}, 8, seed=3)
        != sobol_settings(ranges, {"n"}, 8, seed=4)
    )
    # a Sobol net: one point in each eighth
    assert sorted(int(p["a"]) for p in found) == list(range(8))
    assert sorted(int(torch.tensor(p["b"]).log2()) for p in found) == list(range(8))
    assert sorted(p["c"] for p in found) == [1] * 4 + [2] * 4
    assert {type(p["n"]) for p in found} == {int} and {p["n"] for p in found} <= {1, 2, 3, 4}


def test_whole_numbers_are_recognised_by_their_annotation():
    assert integer_fields(Trained()) == {"num_layers"}


@pytest.mark.parametrize(
    "module, settings", [("shifted", {}), ("shifted", {"price": 2.5}), ("trained", {})]
)
def test_a_budget_covers_the_search_and_the_confirmation(root, module, settings):
    rows, info = tuned(root, module, **settings)
    each = float(rows[0]["seconds"])
    assert {float(row["seconds"]) for row in rows} == {each} and len(of_stage(rows, "confirm")) == 3
    assert 200 - each < info["seconds"] == sum(float(row["seconds"]) for row in rows) <= 200


def test_a_budget_too_small_for_a_search_still_scores_the_settings_of_the_suite(root):
    rows, info = tuned(root, "shifted", seconds=1)
    assert [(row["trial"], row["stage"]) for row in rows] == [("0", "search"), ("0", "confirm")]
    assert info["winner"]["trial"] == 0 and info["seconds"] == 20


def test_the_settings_of_the_suite_are_trial_0_and_other_settings_stay(root):
    rows, info = tuned(root, "shifted", price=9.0)
    settings = [json.loads(row["settings"]) for row in of_stage(rows, "search")]
    assert settings[0] == {"shift": 1.0, "price": 9.0} and info["settings"] == {"price": 9.0}
    assert len(settings) > 5 and all(
        found["price"] == 9.0 and found["shift"] != 1.0 for found in settings[1:]
    )


def test_only_validation_measurements_and_others_to_confirm(root):
    tuned(root, "shifted")
    assert all(len(y) == M and y.abs().max() < 50 for y in SEEN)
    first, last = SEEN[0], SEEN[-1]
    assert not torch.isclose(first[:, None], last).flatten(2).all(2).any()
    num_search = sum(torch.equal(y, first) for y in SEEN)
    assert num_search + 3 == len(SEEN) and all(torch.equal(y, last) for y in SEEN[num_search:])


def test_trials_have_common_random_numbers_that_confirmation_does_not_repeat(root):
    for module in ("shifted", "trained"):  # draws of samples, and of training
        SEEN_NOISE.clear()
        tuned(root, module)
        search, confirm = SEEN_NOISE[:-3], SEEN_NOISE[-3:]
        assert len(search) > 1 and all(torch.equal(noise, search[0]) for noise in search)
        assert all(torch.equal(noise, confirm[0]) for noise in confirm)
        assert not torch.equal(search[0], confirm[0])


def test_the_winner_is_the_best_when_confirmed_with_paired_differences(root):
    rows, info = tuned(root, "shifted", seconds=400)
    assert list(rows[0]) == [*tune.COLUMNS]
    search, confirm = of_stage(rows, "search"), of_stage(rows, "confirm")
    ranked = sorted(search[1:], key=lambda row: float(row["energy_score"]))
    assert [row["trial"] for row in confirm] == ["0", *(row["trial"] for row in ranked[:2])]
    best = min(confirm, key=lambda row: float(row["energy_score"]))
    won = info["winner"]
    assert str(won["trial"]) == best["trial"] and won["settings"] == json.loads(best["settings"])
    assert won["settings"]["shift"] < 1.0 and won["difference"] < -2 * won["difference_error"]
    assert float(best["difference"]) == pytest.approx(won["difference"], abs=1e-5)
    apart = float(best["energy_score"]) - float(confirm[0]["energy_score"])
    assert float(best["difference"]) == pytest.approx(apart, abs=2e-5)
    assert float(best["difference_error"]) < float(best["standard_error"])  # paired


def test_a_failing_trial_is_logged_with_its_reason_and_the_worst_score(root):
    rows, info = tuned(root, "shifted", "shift=0.5,1.95", "price=10")
    failed = rows[2]
    assert (
        failed["energy_score"] == "inf" and failed["difference"] == failed["standard_error"] == ""
    )
    assert (
        failed["reason"].startswith("failed: ValueError")
        and json.loads(failed["settings"])["shift"] == 1.95
    )
    assert (
        "2" not in [row["trial"] for row in of_stage(rows, "confirm")]
        and info["winner"]["trial"] == 1
    )
    rows, info = tuned(root, "shifted", shift=1.95)  # of the suite's own settings, too
    assert (
        rows[0]["energy_score"] == "inf"
        and info["winner"]["difference"] is None
        and info["winner"]["trial"] != 0
    )


def test_a_method_that_cannot_run_here_is_tried_once(root):
    rows, info = tuned(root, "demanding")
    (row,) = rows
    assert (
        row["reason"] == "n/a: needs EXACT"
        and row["energy_score"] == "inf"
        and info["winner"] is None
    )


def test_some_samples_that_are_not_finite_fail_a_trial(root, monkeypatch):
    draw = Shifted.sample

    def spoiled(self, prior, problem, y, num_samples, *, rng) -> Tensor:
        x = draw(self, prior, problem, y, num_samples, rng=rng)
        x[0, 0] = torch.nan
        return x

    monkeypatch.setattr(Shifted, "sample", spoiled)
    rows, info = tuned(root, "shifted", seconds=1)
    assert rows[0]["reason"].endswith("1 of 3 measurements have samples that are not finite")
    assert info["winner"] is None


def test_a_grid_by_hand_is_all_combinations(root):
    rows, _ = tuned(root, "shifted", "shift=0.5,1,1.5", "price=1,2", seconds=1000)
    tried = [json.loads(row["settings"]) for row in of_stage(rows, "search")]
    assert (
        len(tried) == 7 and tried[0] == {"shift": 1.0} and tried[-1] == {"shift": 1.5, "price": 2}
    )
    with pytest.raises(UserError, match="expected settings to try, such as zeta"):
        tuned(root, "shifted", "shift")


def test_too_few_validation_images_are_a_fault_in_one_line(root):
    with pytest.raises(
        UserError,
        match=r"all_measurements.safetensors: has 7 validation images, .* set it to at most 3 in the",
    ):
        tuned(root, "shifted", num_measurements=4)


def test_the_energy_score_of_two_points_by_hand():
    x, x_true = torch.tensor([[[0.0], [2.0]]]), torch.tensor([[0.0]])
    assert tune.energy_score(x, x_true).tolist() == [0.0]  # (0 + 2) / 2 - 2 / 2


def test_the_energy_score_is_proper():
    """Its mean over x_true of a law is least for samples of that law, by more than 5 standard errors."""
    generator = torch.Generator().manual_seed(1)
    x_true = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    draws = torch.randn(4000, 8, 1, generator=generator, dtype=torch.float64)
    laws = ((1, 0), (0.5, 0), (2, 0), (1, 0.7))  # scale and shift
    right, *wrong = (tune.energy_score(scale * draws + shift, x_true) for scale, shift in laws)
    for scores in wrong:
        difference = scores - right
        assert difference.mean() > 5 * tune.standard_error(difference)


PURE = {"commit": "a" * 40, "dirty": False}


@pytest.fixture
def untuned(root) -> Path:
    shutil.rmtree(root / "tuning", ignore_errors=True)
    return root


def test_logs_are_committed_with_a_table_of_winners(untuned, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tune, "provenance", lambda threads: PURE)
    _, found = tuned(untuned, "shifted", seconds=100)  # few trials: none at an end of the range
    tuned(untuned, "demanding")
    capsys.readouterr()
    committed.main(str(untuned), str(tmp_path))
    text = (tmp_path / "winners.md").read_text()
    assert capsys.readouterr().out == text
    of = {line.split(" | ")[1]: line for line in text.splitlines()[2:]}
    won = found["winner"]
    assert (
        "| shift 1.0 | " in of["shifted"]
        and f" | shift {won['settings']['shift']} | " in of["shifted"]
    )
    assert f" | {won['difference']:+.3f} +- {won['difference_error']:.3f} | " in of["shifted"]
    assert "n/a: needs EXACT" in of["demanding"]
    assert read_csv(tmp_path / f"{TASK}/shifted.csv") == read_csv(
        untuned / f"tuning/{TASK}/shifted/trials.csv"
    )


def test_a_search_that_ends_at_its_winner_is_not_committed(untuned, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "provenance", lambda threads: PURE)
    tuned(untuned, "shifted", "shift=0.7,1,1.5", seconds=400)
    with pytest.raises(
        UserError, match=r"grid.csv: .* shift = 0.7 wins at the low end of its grid"
    ):
        committed.main(str(untuned), str(tmp_path))
    assert not list(tmp_path.iterdir())
    tuned(untuned, "shifted", "shift=-0.7,0,0.7,1", seconds=400)
    committed.main(str(untuned), str(tmp_path))
    assert (tmp_path / f"grid/{TASK}/shifted.csv").exists()


def test_a_log_has_the_ranges_of_the_search(root):
    assert tuned(root, "shifted")[1]["ranges"] == {"shift": [0.5, 2.0, "linear"]}
    assert tuned(root, "trained")[1]["ranges"]["rate"] == [0.1, 10.0, "log"]
    searched = tuned(root, "shifted", "shift=1,2", "price=10", seconds=400)[1]
    assert searched["ranges"] == {"shift": [1, 2, "grid"]}


@pytest.mark.parametrize(
    "values, ends",
    [
        ((1, 5, 3), [1, 5, "grid"]),
        ((2,), []),
        (("a", "b"), []),
        ((True, False), []),
        ((1, None), []),
    ],
)
def test_a_choice_of_numbers_has_ends_as_a_grid_has(values, ends):
    assert tune.ends_of(Choice(values)) == ends


def test_logs_of_uncommitted_sources_are_refused(untuned, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "provenance", lambda threads: PURE | {"dirty": True})
    tuned(untuned, "shifted")
    with pytest.raises(UserError, match="made from uncommitted sources.*tune again"):
        committed.main(str(untuned), str(tmp_path))
    with pytest.raises(UserError, match="has no tuning/.*snakemake tuned"):
        committed.main(str(tmp_path), str(tmp_path))
