"""Training: a state is made once, before sampling and without measurements; a failure has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.drop_in import drop_in_method  # noqa: F401 (a fixture)
from torch import Tensor

from bench.core.artefacts import ArtefactError, read_json, read_tensors, write_json, write_tensors
from bench.priors import load_prior, prior_path
from bench.priors._gmm_fit import fit_gmm
from bench.stages import data as prepare
from bench.stages import observe, sample, train

M, S, SHAPE = 3, 4, (1, 8, 8)
TASK = "gmm-denoise"
PAYS = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import Cap
__all__ = ["Pays"]

@dataclass(frozen=True)
class Pays:
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.SIMULATE
    search: ClassVar[dict] = {}
    num_pairs: int = 20

    def train(self, prior, problem, *, rng):
        x = prior.sample(self.num_pairs, rng)[0]
        y = problem.simulate(x, rng).requires_grad_()
        prior.denoise(y, torch.tensor(0.5)).sum().backward()
        caps = torch.tensor([Cap.DENSITY in prior.caps, Cap.RESIDUAL in problem.caps])
        return {"shift": (x - y).mean(0), "count": torch.tensor(len(x)), "caps": caps}

    def sample(self, prior, problem, y, num_samples, *, rng, state):
        return y[:, None] + state["shift"] + 0.1 * rng.per_sample.randn(prior.shape)
"""
RETURN = 'return {"shift": (x - y).mean(0), "count": torch.tensor(len(x)), "caps": caps}'
SINS = {  # what is replaced, by what, and the status and reason that follow
    "raises": (
        RETURN,
        "raise ValueError('diverged\\nat step 3')",
        "failed",
        "ValueError: diverged",
    ),
    "exits": (RETURN, "raise SystemExit(2)", "failed", "SystemExit: 2"),
    "needs_much": ("Cap.SIMULATE\n", "Cap.SIMULATE | Cap.EXACT\n", "n/a", "needs EXACT"),
    "nothing": (
        RETURN,
        "return None",
        "failed",
        "train() returned NoneType, expected a flat dict[str, Tensor]",
    ),
    "nested": (
        RETURN,
        "return {'net': {'w': x}}",
        "failed",
        "train() returned dict[str, dict], expected a flat",
    ),
    "numbers": (
        RETURN,
        "return {'loss': 0.5}",
        "failed",
        "train() returned dict[str, float], expected a flat",
    ),
    "not_finite": (
        RETURN,
        "return {'w': x / 0}",
        "failed",
        "train() returned 'w' with NaN or infinity",
    ),
    "complex": (
        RETURN,
        "return {'w': x + 1j}",
        "failed",
        "train() returned torch.complex128 for 'w', which a state",
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A suite's folder up to the measurements of one task."""
    root = tmp_path_factory.mktemp("suite")
    write_json(
        root / "specs/data.json",
        {"root": str(root), "dataset": "digits", "plugin": "digits", "parameters": {}},
    )
    prepare.main(str(root / "specs/data.json"))
    mixture = fit_gmm(
        read_tensors(root / "data/digits.safetensors")[0]["train"],
        num_components=2, shrinkage=30, floor=0.05, num_iterations=3,
    )  # fmt: skip
    tensors = {name: getattr(mixture, name) for name in ("weights", "means", "covariances")}
    write_tensors(prior_path(root, "gmm", "gmm"), tensors, {"family": "gmm"})
    spec = {**task_spec(root), "num_measurements": M, "num_reference": S}
    write_json(root / f"specs/tasks/{TASK}.json", spec)
    observe.main(str(root / f"specs/tasks/{TASK}.json"))
    return root


def task_spec(root: Path) -> dict:
    spec = {"root": str(root), "task": TASK, "prior": "gmm", "family": "gmm", "dataset": "digits"}
    return spec | {"operator": "denoise", "parameters": {}, "sigma_y": 0.5}


def facts(module: str, **changes: object) -> dict:
    return {"method": module, "module": module, "settings": {}, "seed": 0} | changes


def run_train(root: Path, module: str, **changes: object) -> tuple[dict[str, Tensor], dict, dict]:
    """Tensors and header of the state, and training.json. It returns whatever the method does."""
    spec = task_spec(root) | facts(module, **changes)
    write_json(root / "specs/train.json", spec)
    train.main(str(root / "specs/train.json"))
    folder = root / "runs" / TASK / spec["method"] / f"seed{spec['seed']}"
    return *read_tensors(folder / "state.safetensors"), read_json(folder / "training.json")


def run_sample(
    root: Path, module: str, trains: bool = True, **changes: object
) -> tuple[Tensor, dict, dict]:
    """Samples, header and cost."""
    spec = {
        "root": str(root),
        "task": TASK,
        "prior": "gmm",
        "family": "gmm",
        "num_samples": S,
        "rows_per_chunk": 5,
    }
    spec |= facts(module) | {"trains": trains, "num_measurements": None} | changes
    write_json(root / "specs/run.json", spec)
    sample.main(str(root / "specs/run.json"))
    folder = root / "runs" / TASK / spec["method"] / f"seed{spec['seed']}"
    tensors, header = read_tensors(folder / "samples.safetensors")
    return tensors["x"], header, read_json(folder / "cost.json")


def test_a_state_is_made_stored_and_used(root, drop_in):
    drop_in("pays", PAYS)
    state, header, training = run_train(root, "pays", settings={"num_pairs": 30})
    assert (
        state["count"] == 30
        and state["shift"].shape == SHAPE
        and state["shift"].dtype == torch.float64
    )
    assert state["caps"].tolist() == [False, False]  # a method is shown what it declares
    assert (header["status"], header["reason"], header["settings"]) == ("ok", "", {"num_pairs": 30})
    # the same bits each time
    assert header["nfe"] == header["nfe_vjp"] == 30 and "seconds" not in header
    assert training["nfe"] == training["nfe_vjp"] == 30 and training["seconds"] > 0
    x, samples_header, cost = run_sample(root, "pays", settings={"num_pairs": 30})
    assert samples_header["status"] == "ok" and x.shape == (M, S, *SHAPE)
    assert samples_header["state_sha256"] == header["sha256"]
    y = read_tensors(root / f"tasks/{TASK}/observations.safetensors")[0]["y"]
    # what is left are draws of spread 0.1, 768 of them: their spread is known within 3 %
    assert (x - y[:, None] - state["shift"].float()).std().item() == pytest.approx(0.1, rel=0.1)
    assert (
        cost["train_nfe"] == cost["train_nfe_vjp"] == 30
        and cost["train_seconds"] == training["seconds"]
    )
    assert cost["nfe"] == cost["nfe_vjp"] == 0


def test_a_state_depends_on_its_seed_and_nothing_else(root, drop_in):
    drop_in("pays", PAYS)
    path = root / f"runs/{TASK}/pays/seed0/state.safetensors"
    run_train(root, "pays")
    first = path.read_bytes()
    run_train(root, "pays")
    assert path.read_bytes() == first
    one, other = run_train(root, "pays")[0], run_train(root, "pays", seed=1)[0]
    assert not torch.equal(one["shift"], other["shift"])


@pytest.mark.parametrize("sin", SINS)
def test_a_sin_in_training_becomes_the_status_of_the_run(root, drop_in, sin):
    old, new, status, reason = SINS[sin]
    assert PAYS.count(old) == 1
    drop_in(sin, PAYS.replace(old, new))
    state, header, training = run_train(root, sin)
    assert state == {} and header["status"] == status and reason in header["reason"]
    assert "\n" not in header["reason"] and training["seconds"] is None
    x, samples_header, cost = run_sample(root, sin)
    assert x.shape == (M, 0, *SHAPE) and cost["seconds"] is None
    assert [samples_header[key] for key in ("status", "reason")] == [
        header[key] for key in ("status", "reason")
    ]


def test_an_empty_state_is_a_state(root, drop_in):
    empty = PAYS.replace(RETURN, "return {}").replace('state["shift"]', "len(state)")
    drop_in("empty", empty)
    assert run_train(root, "empty")[0] == {}
    assert run_sample(root, "empty")[1]["status"] == "ok"


def test_a_broken_state_stops_the_job_by_name(root, drop_in):
    drop_in("pays", PAYS)
    run_train(root, "pays")
    path = root / f"runs/{TASK}/pays/seed0/state.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match=r"pays/seed0/state\.safetensors"):
        run_sample(root, "pays")


def test_a_method_without_training_pays_nothing_and_gets_no_state(root):
    x, header, cost = run_sample(root, "unconditional", trains=False)
    assert header["status"] == "ok" and x.isfinite().all()
    assert [cost[f"train_{what}"] for what in ("seconds", "nfe", "nfe_vjp")] == [0, 0, 0]


@pytest.mark.parametrize("module", ["unconditional", "oracle"])
def test_a_restricted_run_has_the_same_draws_for_fewer_measurements(root, module):
    few, header, cost = run_sample(root, module, trains=False, num_measurements=2)
    everything, whole, _ = run_sample(root, module, trains=False)
    assert few.shape == everything.shape and few[2].isnan().all()
    assert torch.equal(few[:2], everything[:2]) and everything.isfinite().all()
    assert (header["num_measurements"], whole["num_measurements"]) == (2, M)
    assert header["observations_sha256"] == whole["observations_sha256"] and cost["rows"] == 2 * S


def test_the_prior_in_training_is_that_of_the_task(root, drop_in):
    drop_in("mean", PAYS.replace(RETURN, "return {'mean': prior.sample(500, rng)[0].mean(0)}"))
    prior, state = load_prior(prior_path(root, "gmm", "gmm")), run_train(root, "mean")[0]
    # a mean of 500 draws with pixel deviations below 1: 5 standard errors are 5 / 500^0.5
    expected = torch.einsum("k,k...->...", prior.weights, prior.means)
    torch.testing.assert_close(state["mean"], expected, rtol=0, atol=5 / 500**0.5)
