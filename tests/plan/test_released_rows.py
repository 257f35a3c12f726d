"""Rows named after a paper or a release have its settings, as far as these are known and not for images of one size."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.repository import REPOSITORY

from bench.core.registry import build, plugin_of

# as in the configuration files of the releases, and RED-diff's README; lam of DiffPIR is a quarter of theirs
RELEASED = {
    "pigdm-released": {"num_steps": 100, "eta": 0.0, "prior_std": 1.0, "weighting": "released"},
    "diffpir-released": {"num_steps": 20, "lam": 0.25, "zeta": 1.0, "prior_std": 0.0},
    "red_diff-released": {"num_steps": 100, "learning_rate": 0.5, "weight": 0.25},
    "ddrm-released": {"num_steps": 20, "eta": 0.85, "eta_b": 1.0, "start": "measured"},
    "mpgd-released": {"num_steps": 100, "scale": 4.0, "eta": 0.5, "scale_size": 3 * 256 * 256},
    "daps-released": {
        "num_levels": 200, "sigma_max": 100.0, "sigma_min": 0.1, "num_ode_steps": 5, "ode_sigma_min": 0.01,
        "prior_std": 0.0, "inner": "langevin", "num_langevin": 100, "step": 5e-5, "beta": "released",
    },
    "pnp_dm-released": {"num_chains": 1, "rho_max": 10.0, "rho_min": 0.3, "num_warmup": 40},
    "tds-released": {"num_steps": 100, "num_particles": 4, "ess_threshold": 1.0, "prior_std": 0.35},
    "mcgdiff-released": {"num_steps": 100, "num_particles": 64, "kappa": 1e-4, "ess_threshold": 1.0},
    "annealed_langevin-released": {"num_inner": 3, "sigma_min": 0.0066, "step": 0.69},
}  # fmt: skip


def built(suite: Path, row: str):
    settings = dict(yaml.safe_load(suite.read_text())["methods"][row])
    return build("method", settings.pop("plugin", None) or plugin_of("method", row), settings)


@pytest.mark.parametrize("row", RELEASED)
def test_released_rows_of_the_ablations_have_the_settings_of_the_releases(row):
    method = built(REPOSITORY / "config/ablations.yaml", row)
    assert {name: getattr(method, name) for name in RELEASED[row]} == RELEASED[row]


@pytest.mark.parametrize(
    ("suite", "row"),
    [
        ("reward", "hmc-paper"),
        ("papers/ods_cifar10", "hmc-latent-paper"),
        ("papers/ods_ffhq", "hmc-latent-paper"),
    ],
)
def test_hmc_as_in_the_paper_on_ods_has_steps_of_one_size_and_no_annealing(suite, row):
    method = built(REPOSITORY / f"config/{suite}.yaml", row)
    assert not method.adapts and method.jitter == 0 and method.num_curvature == 0
    assert method.anneal == 1 and method.leniency == 1 and method.num_leapfrog == 5
