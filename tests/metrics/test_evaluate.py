"""metrics.csv: every cell has a number or a reason, and numbers belong to the right measurements."""

import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.metric_values import COLUMNS, COLUMNS_OF_TASK
from helpers.tiny_task import (
    METHODS,
    SHAPE,
    SIGMA_Y,
    M,
    S,
    evaluated,
    spec_of_tiny_task,  # noqa: F401 (a fixture)
    write_run,
)

from bench.core.artefacts import (
    ArtefactError,
    read_csv,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)
from bench.core.types import Cap
from bench.metrics._ranks import share_interval
from bench.numerics.distances import distances
from bench.stages import evaluate

BIAS = 0.3  # of the map, on every pixel


def of_each(spec: Path) -> list[dict[str, str]]:
    """The lines of single measurements."""
    return [row for row in evaluated(spec) if row["observation"] != "all"]


def test_every_cell_has_a_number_or_a_reason_in_fixed_order(spec):
    rows = evaluated(spec)
    cells = [(row["method"], row["observation"], row["metric"]) for row in rows]
    methods = ("reference", *METHODS)
    pooled = [("all", metric.id) for metric in COLUMNS_OF_TASK]
    lines = [*((str(i), metric.id) for i in range(M) for metric in COLUMNS), *pooled]
    assert cells == [(method, *line) for method in methods for line in lines]
    assert all((row["value"] == "") != (row["reason"] == "") for row in rows)
    assert all(math.isfinite(float(row["value"])) for row in rows if row["value"])


def test_reasons(spec):
    reasons = {
        (row["method"], int(row["observation"]), row["metric"]): row["reason"]
        for row in of_each(spec)
    }
    assert {reasons["decoder", i, metric.id] for i in range(M) for metric in COLUMNS} == {
        "n/a (needs DECODER)"
    }
    assert reasons["crash", 0, "energy"] == "failed (ValueError: no, really)"
    assert [reasons["broken", i, "psnr_mean"] for i in range(M)] == [
        "",
        "failed (3 of 8 samples not finite)",
        "",
    ]
    not_admitted = "n/a (reference not admitted: two runs differ)"
    assert [reasons["oracle", i, "energy"] for i in range(M)] == ["", "", not_admitted]
    assert [reasons["oracle", i, "chi2_sample"] for i in range(M)] == ["", "", ""]
    assert reasons["reference", 2, "psnr_mean"] == not_admitted
    assert (
        reasons["oracle", 0, "rhat"]
        == reasons["reference", 0, "ess_bulk"]
        == "n/a (independent samples)"
    )
    assert reasons["chain", 0, "rhat"] == ""
    assert reasons["chain", 2, "ess_tail"] == "n/a (fewer than 10 states per chain)"


def test_only_the_first_measurements_of_a_restricted_run_count(spec):
    rows = {(row["method"], int(row["observation"]), row["metric"]): row for row in of_each(spec)}
    for metric in COLUMNS:
        here, other = rows["first", 0, metric.id], rows["oracle", 0, metric.id]
        assert (here["value"], here["reason"]) == (other["value"], other["reason"])
        assert {rows["first", i, metric.id]["reason"] for i in (1, 2)} == {
            "n/a (only the first 1 measurements)"
        }


def reasons_of(spec: Path, *metrics: str) -> set[str]:
    """Why the oracle has no number for them; "" where it has one."""
    return {
        row["reason"]
        for row in evaluated(spec)
        if row["method"] == "oracle" and row["metric"] in metrics
    }


def take_problem(monkeypatch, problem) -> None:
    """Put a problem in the place of the task's."""
    for module in ("bench.stages.evaluate", "bench.task"):
        monkeypatch.setattr(f"{module}.problem_of", lambda *_, **__: problem)


def test_stein_needs_a_density_of_the_prior_itself_and_a_gradient(spec, monkeypatch):
    stein = [column.id for column in COLUMNS if column.needs == "score"]
    assert reasons_of(spec, *stein) == {""}
    take_problem(monkeypatch, Brightness(Cap.NONE))
    assert reasons_of(spec, *stein) == {"n/a (problem is not differentiable)"}
    monkeypatch.undo()
    path = spec.parents[2] / "priors/normal/gmm.safetensors"
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"teacher": "another"})
    assert reasons_of(spec, *stein) == {"n/a (the density is that of the map's teacher)"}
    write_tensors(
        path.with_name("atoms.safetensors"), {"atoms": torch.zeros(2, *SHAPE)}, {"family": "atoms"}
    )
    write_json(spec, read_json(spec) | {"family": "atoms"})
    assert reasons_of(spec, *stein) == {"n/a (prior has no density)"}


def test_parts_of_diversity_have_numbers_or_reasons(spec, monkeypatch):
    rows = {(row["method"], int(row["observation"]), row["metric"]): row for row in of_each(spec)}
    for name in ("diversity_null", "diversity_null_ratio"):
        assert rows["oracle", 0, name]["reason"] == "n/a (operator has no null space)"
    assert rows["oracle", 0, "diversity_range"]["value"] == rows["oracle", 0, "diversity"]["value"]
    assert 0.5 < float(rows["oracle", 0, "diversity_range_ratio"]["value"]) < 2
    split = [c.id for c in COLUMNS if c.id.startswith(("diversity_null", "diversity_range"))]
    take_problem(monkeypatch, Brightness())
    why = "n/a (reward, no measurement operator)"
    assert reasons_of(spec, *split) == {why, "n/a (reference not admitted: two runs differ)"}
    assert reasons_of(spec, *(metric.id for metric in COLUMNS_OF_TASK)) == {why}


def test_shares_of_measurements_have_their_interval(spec):
    rows = {
        (row["method"], row["metric"]): row
        for row in evaluated(spec)
        if row["observation"] == "all"
    }
    actual = {
        end: float(rows["oracle", f"tarp_x_true@0.5{end}"]["value"])
        for end in ("_low", "", "_high")
    }
    assert 0 <= actual["_low"] <= actual[""] <= actual["_high"] <= 1
    assert (actual["_low"], actual["_high"]) == pytest.approx(
        share_interval(actual[""], M), rel=1e-6
    )
    assert rows["first", "tarp_x_true@0.5"]["reason"] == "n/a (only the first 1 measurements)"
    assert (
        rows["reference", "tarp_x_true@0.5"]["reason"]
        == "n/a (reference not admitted: two runs differ)"
    )


def write_teacher(spec: Path, **header: object) -> torch.Tensor:
    """Make the prior a map that shifts its teacher's draws by BIAS; return the mean of the teacher's posterior."""
    path = spec.parents[2] / "tasks/task/exact.safetensors"
    tensors, actual = read_tensors(path)
    teacher = {
        f"teacher_{name.removeprefix('x_')}": tensor.clone() for name, tensor in tensors.items()
    }
    for name in ("teacher_a", "teacher_b", "teacher_mean"):
        teacher[name] -= BIAS
    write_tensors(path, tensors | teacher, actual | header)
    return teacher["teacher_mean"]


def test_without_a_teacher_there_is_no_total(spec):
    rows = [
        row
        for row in evaluated(spec)
        if row["metric"].endswith("_total") and row["method"] == "oracle"
    ]
    assert len(rows) == 4 * M
    assert {row["reason"] for row in rows} == {"n/a (prior is not a distilled map of an exact one)"}


def test_totals_hold_the_bias_of_the_map(spec):
    mean = write_teacher(spec)
    values = {
        (row["method"], int(row["observation"]), row["metric"]): row["value"]
        for row in of_each(spec)
    }
    x = read_tensors(spec.parents[2] / "runs/task/oracle/seed0/samples.safetensors")[0][
        "x"
    ].double()
    error = (x.mean(1) - mean).square().flatten(1).mean(1).sqrt()
    assert [float(values["oracle", i, "mean_error_total"]) for i in range(M)] == pytest.approx(
        error.tolist(), rel=1e-5
    )
    for i in range(2):
        # the mean of 8 draws is off by sqrt(0.2 / 8) = 0.158 per pixel: sqrt(0.158^2 + 0.3^2) = 0.34, 5 % scatter
        assert float(values["reference", i, "mean_error_total"]) == pytest.approx(0.34, rel=0.15)
        for name in ("sw2-128", "energy"):
            assert float(values["reference", i, f"{name}_total"]) > float(
                values["reference", i, name]
            )
    assert values["oracle", 2, "energy"] == "" and float(values["oracle", 2, "energy_total"]) > 0


def test_a_teachers_reference_is_admitted_by_itself(spec):
    write_teacher(spec, teacher_reasons=["", "two runs differ", ""])
    reasons = {
        (row["method"], int(row["observation"]), row["metric"]): row["reason"]
        for row in of_each(spec)
    }
    not_admitted = "n/a (reference not admitted: two runs differ)"
    assert [reasons["oracle", i, "energy_total"] for i in range(M)] == ["", not_admitted, ""]
    assert [reasons["oracle", i, "energy"] for i in range(M)] == ["", "", not_admitted]


@dataclass(frozen=True)
class Brightness:
    """A reward: log r(x, y) = mean of x; its features are the first rows of an image, N(0, I) for real ones."""

    caps: Cap = Cap.GRAD

    def log_likelihood(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).mean(1)

    log_reward = log_likelihood

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, 0]

    def real_features(self, y: torch.Tensor) -> SimpleNamespace:
        mean, covariance = torch.zeros(len(y), 8), torch.eye(8).expand(len(y), 8, 8)
        return SimpleNamespace(
            mean=mean.double(), covariance=covariance.double(), floor=torch.ones(len(y)).double()
        )


def test_rewards_have_their_own_metrics_and_none_of_an_operator(spec, monkeypatch):
    rows = {(row["method"], int(row["observation"]), row["metric"]): row for row in of_each(spec)}
    of_rewards = [metric.id for metric in COLUMNS if metric.needs == "reward"]
    assert {rows["oracle", 0, name]["reason"] for name in of_rewards} == {
        "n/a (measurement operator, no reward)"
    }
    take_problem(monkeypatch, Brightness())
    rows = {(row["method"], int(row["observation"]), row["metric"]): row for row in of_each(spec)}
    no_operator = "n/a (reward, no measurement operator)"
    assert {rows["oracle", 0, name]["reason"] for name in ("psnr_mean", "chi2_sample")} == {
        no_operator
    }
    assert {rows["chain", 0, name]["reason"] for name in ("energy", "rhat", "log_reward")} == {""}
    x = read_tensors(spec.parents[2] / "runs/task/oracle/seed0/samples.safetensors")[0][
        "x"
    ].double()
    assert float(rows["oracle", 0, "log_reward"]["value"]) == pytest.approx(
        x[0].mean().item(), rel=1e-6
    )
    assert rows["oracle", 0, "frechet-digits-cnn-v1-n32"]["reason"] == "n/a (fewer than 32 samples)"
    assert rows["reference", 0, "frechet_floor-digits-cnn-v1-n32"]["value"] == "1"


def one_way(draws, others):
    """Energy distance of `others`, in the two blocks of 8 that 20 draws hold, to all of `draws`."""
    blocks = others[:, :S], others[:, S : 2 * S]
    within = [
        distances(c, c).sum((1, 2)) / (c.shape[1] * (c.shape[1] - 1)) for c in (*blocks, draws)
    ]
    return (
        sum(distances(draws, block).mean((1, 2)) for block in blocks)
        - (within[0] + within[1]) / 2
        - within[2]
    )


def test_values_and_info(spec):
    values = {
        (row["method"], int(row["observation"]), row["metric"]): row["value"]
        for row in of_each(spec)
    }
    root = spec.parents[2]
    measurements, header = read_tensors(root / "tasks/task/observations.safetensors")
    x = read_tensors(root / "runs/task/oracle/seed0/samples.safetensors")[0]["x"]
    chi2 = (measurements["y"][:, None] - x).square().mean((1, 2, 3, 4)) / SIGMA_Y**2
    assert [float(values["oracle", i, "chi2_sample"]) for i in range(M)] == pytest.approx(
        chi2.tolist(), rel=1e-5
    )
    score = -(x - 0.8 * measurements["y"][:, None]) / 0.2  # of the posterior N(0.8 y, 0.2 I)
    centred = x - x.mean(1, keepdim=True)
    ratio = -(score * centred).sum((1, 2, 3, 4)) / ((S - 1) * math.prod(SHAPE))
    assert [float(values["oracle", i, "stein_ratio"]) for i in range(M)] == pytest.approx(
        ratio.tolist(), rel=1e-5
    )
    exact = {
        name: t.double().flatten(2)
        for name, t in read_tensors(root / "tasks/task/exact.safetensors")[0].items()
    }
    energy = (
        one_way(exact["x_a"][:2], exact["x_b"][:2]) + one_way(exact["x_b"][:2], exact["x_a"][:2])
    ) / 2
    assert [float(values["reference", i, "energy"]) for i in range(2)] == pytest.approx(
        energy.tolist(), rel=1e-6
    )
    info = read_csv(root / "tasks/task/metrics.csv")[1]
    assert info["observations_sha256"] == header["observations_sha256"]
    assert list(info["definitions"]) == [metric.id for metric in (*COLUMNS, *COLUMNS_OF_TASK)]


def test_chunks_do_not_change_the_numbers(spec, monkeypatch):
    whole = evaluated(spec)
    monkeypatch.setattr(evaluate, "FLOATS_PER_CHUNK", 1)
    for row, other in zip(whole, evaluated(spec), strict=True):
        assert row["reason"] == other["reason"]
        assert float(row["value"] or 0) == pytest.approx(
            float(other["value"] or 0), rel=1e-6, abs=1e-9
        )


def test_other_measurements_are_refused_by_name(spec):
    write_run(spec.parents[2], "oracle", torch.zeros(M, S, *SHAPE), "0" * 64)
    with pytest.raises(
        ArtefactError, match=r"oracle/seed0/samples\.safetensors: was made from measurements 0000"
    ):
        evaluate.main(str(spec))


def test_another_number_of_samples_is_refused(spec):
    sha256 = read_tensors(spec.parents[2] / "tasks/task/observations.safetensors")[1][
        "observations_sha256"
    ]
    write_run(spec.parents[2], "chain", torch.zeros(M, S + 1, *SHAPE), sha256)
    with pytest.raises(ArtefactError, match="holds 9 samples per measurement, expected 8"):
        evaluate.main(str(spec))
