"""Two priors on the same held-out images, against closed forms of a Gaussian; and the record that cards cite."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from helpers.repository import REPOSITORY
from torch import Tensor

from bench.core.artefacts import write_json
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.datasets.photos import Photos
from bench.priors import _record as records
from bench.priors._held_out import compared, held_out
from bench.priors.gmm import GMM

SHAPE, STD, NUM_IMAGES, NUM_FOR_BITS = (1, 4, 4), 0.4, 200, 40
LIMITS = (0.002, 80.0)
GAUSSIAN = GMM(
    torch.ones(1).double(),
    torch.zeros(1, *SHAPE).double(),
    STD**2 * torch.eye(16, dtype=torch.float64)[None],
)


@dataclass(frozen=True)
class Worse:
    """The Gaussian's denoiser, too near to zero by a share."""

    share: float = 0.25
    caps: Cap = Cap.DENOISER

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        return (1 - self.share) * GAUSSIAN.denoise(x_t, sigma)


@pytest.fixture(scope="module")
def found():
    x = GAUSSIAN.sample(NUM_IMAGES, Rng(("held out",), (0,)))[0]
    priors = {"exact": GAUSSIAN, "worse": Worse()}
    with torch.no_grad():
        each = {
            name: held_out(prior, x, LIMITS, NUM_FOR_BITS)  # pyright: ignore[reportArgumentType]
            for name, prior in priors.items()
        }
    return x, compared(each, x)


def test_the_loss_of_the_exact_denoiser_of_a_gaussian_is_one(found):
    # 200 images of 16 pixels: the mean of 3200 squares has relative error sqrt(2 / 3200) = 0.025, as has the power
    for level, loss in found[1]["models"]["exact"]["weighted_loss"].items():
        assert loss["mean"] == pytest.approx(1, abs=4 * math.hypot(0.025, 0.025)), level
        # a mean of 16 squares has a standard deviation of sqrt(2 / 16), over sqrt(200) images
        assert loss["standard_error"] == pytest.approx((2 / 16 / NUM_IMAGES) ** 0.5, rel=0.3)


def test_differences_are_paired_over_images(found):
    first, other = found[1]["models"]["exact"], found[1]["models"]["worse"]
    assert first["bits_less_first"] == {"mean": 0.0, "standard_error": 0.0}
    for level, apart in other["weighted_loss_less_first"].items():
        means = [each["weighted_loss"][level]["mean"] for each in (other, first)]
        assert apart["mean"] == pytest.approx(means[0] - means[1], abs=1e-12)
    # at much noise the worse denoiser leaves 0.75 of a small estimate, so that its loss hardly differs
    assert other["weighted_loss_less_first"]["0.5"]["mean"] > 0
    assert other["exact_bits_per_dimension"] is None


def test_bits_of_the_ode_are_those_of_the_density(found):
    exact = found[1]["models"]["exact"]
    # Runge-Kutta's error; the divergence of this linear denoiser is the same for every probe
    assert abs(exact["bits_of_ode_less_exact"]["mean"]) < 2e-3
    std = math.hypot(STD, LIMITS[0])
    bits = math.log2(std * math.sqrt(2 * math.pi * math.e)) + 7
    # log2(e) / 2 times a mean of 40 x 16 squares
    error = 4 * math.log2(math.e) / 2 * (2 / 640) ** 0.5
    assert exact["exact_bits_per_dimension"]["mean"] == pytest.approx(bits, abs=error)


def test_a_card_cites_the_record_of_its_images_and_of_no_others(found, tmp_path, monkeypatch):
    x, content = found
    models = {"mfa": content["models"]["exact"], "edm": content["models"]["worse"]}
    about = {"checkpoint": "c", "limits": LIMITS, "num_parameters": {"mfa": 5, "edm": 7}}
    monkeypatch.chdir(tmp_path)
    path = tmp_path / records.RECORD
    path.parent.mkdir(parents=True)
    write_json(path, {**content, **about, "models": models})
    cited = records.learned_model(torch.cat([x, x]).float())
    assert cited["num_parameters"] == 7 and cited["num_images"] == NUM_IMAGES
    assert cited["bits_per_dimension"] == models["edm"]["bits_per_dimension"]
    assert cited["mixture_of_record"] == models["mfa"]
    assert records.learned_model(-x) == {"reason": records.NO_RECORD}
    path.write_text("damaged")
    assert records.learned_model(x) == {"reason": records.NO_RECORD}


def test_the_committed_record_is_of_the_test_crops_of_photographs(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    test = Photos(num_train=1, num_validation=1, num_test=252).load()["test"]
    cited = records.learned_model(test)
    bits, mixture = cited["bits_per_dimension"], cited["mixture_of_record"]
    assert cited["num_images"] == 252 and 0 < bits["standard_error"] < 0.5
    # the mixture's own density bounds the error of the ODE by which both are compared
    assert abs(mixture["bits_of_ode_less_exact"]["mean"]) < 0.03
