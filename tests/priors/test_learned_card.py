"""Cards of learned priors against closed forms, draws of a teacher, and checkpoints that a suite pins."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from helpers.learned_priors import SHAPE, normal
from torch import Tensor

from bench.core.errors import UserError
from bench.core.types import Cap
from bench.priors import _learned_card as cards
from bench.priors._checkpoint import Checkpoint
from bench.priors._draws import draws_of
from bench.priors.adapters.diffusers import WEIGHTS
from bench.priors.edm import EDMFamily
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import Conjugate, NoPosterior, posterior_of, teacher_posterior

STD = 0.4
SIZE = math.prod(SHAPE)
GAUSSIAN = GMM(
    torch.ones(1).double(),
    torch.zeros(1, *SHAPE).double(),
    STD**2 * torch.eye(SIZE, dtype=torch.float64)[None],
)


@dataclass(frozen=True)
class Learned:
    """The Gaussian's denoiser, its score too long by a share."""

    share: float = 0.0
    sigma_range: tuple[float, float] = (0.002, 80.0)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        exact = STD**2 / (STD**2 + sigma.square()) * x_t
        return exact + self.share * (exact - x_t)


def card_of(share: float, num_for_bits: int = 0) -> dict:
    draws = draws_of(GAUSSIAN, 400)
    with torch.no_grad():
        return cards.learned_card(Learned(share), draws, GAUSSIAN, num_for_bits)


def test_the_error_of_the_score_is_the_share_by_which_it_is_too_long():
    errors = card_of(0.25)["relative_error_of_score"]
    assert errors == {f"{sigma:g}": pytest.approx(0.25, rel=1e-5) for sigma in cards.SIGMAS}


def test_the_errors_of_the_denoiser_are_those_of_a_gaussian():
    card = card_of(0.0)
    for part in cards.PARTS:
        own, of_teacher = (
            card[f"denoiser_rms_error{whose}"][part] for whose in ("", "_of_teacher")
        )
        assert own == pytest.approx(of_teacher, rel=1e-9)
        for sigma in cards.SIGMAS:
            exact = STD * sigma / math.hypot(STD, sigma)
            # 400 images of 64 pixels: the root of a mean of 25,600 squares has relative error 1 / sqrt(2 * 25600)
            assert card["denoiser_rms_error"][part][f"{sigma:g}"] == pytest.approx(exact, rel=0.02)


def test_bits_of_the_flow_are_those_of_the_density():
    card = card_of(0.0, num_for_bits=20)
    bits, exact = card["bits_per_dimension"], card["bits_per_dimension_of_teacher"]
    # the derivative is a multiple of the identity, so that any probe gives its trace; ODE_STEPS leave 1e-3
    assert bits == {part: pytest.approx(exact[part], abs=2e-3) for part in cards.PARTS}


def test_draws_are_the_teachers_and_parts_are_independent():
    draws = draws_of(GAUSSIAN, 1500)
    assert {part: len(x) for part, x in draws.items()} == {
        "train": 1500,
        "validation": 1000,
        "test": 1000,
    }
    for x in draws.values():
        # of 64,000 numbers or more: relative error of a standard deviation 1 / sqrt(2 * 64000) = 0.003
        assert x.dtype == torch.float32 and x.std().item() == pytest.approx(STD, rel=0.012)
    first = [x[:50] for x in draws.values()] + [draws["train"][1000:1050]]
    apart = torch.cdist(torch.cat([x.flatten(1) for x in first]), draws["train"][:50].flatten(1))
    assert apart[:50].diag().max() < 0.01 and apart[50:].min() > STD


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A tiny network trained on draws of the Gaussian."""
    folder = tmp_path_factory.mktemp("edm")
    family = EDMFamily(channels=(4, 4), num_iterations=3, num_ode_steps=18, num_draws=64)
    with torch.no_grad():
        family.fit({}, folder, GAUSSIAN)
    return folder


def test_a_prior_of_draws_has_its_teachers_exact_posterior_and_none_of_its_own(trained):
    prior = EDMFamily(num_ode_steps=18).load({}, trained, GAUSSIAN)
    problem = make_problem("denoise", {}, 0.3, SHAPE)
    assert isinstance(teacher_posterior(prior, problem), Conjugate)
    assert isinstance(posterior_of(prior, problem), NoPosterior)  # 18 calls per decoded row
    assert prior.caps == Cap.DENOISER | Cap.DECODER  # the teacher's density is not offered


def test_channels_side_by_side_train_the_same_network_up_to_rounding():
    from bench.priors.edm import train

    images, settings = normal(64, *SHAPE, dtype=torch.float32), EDMFamily(num_iterations=3)
    first, second = (
        train(images, replace(settings, channels_last=side_by_side)).unet.state_dict()
        for side_by_side in (False, True)
    )
    for name, weights in first.items():
        torch.testing.assert_close(second[name], weights, rtol=0, atol=1e-4)


def sha256_of(folder: Path) -> str:
    return hashlib.sha256((folder / "pipeline" / "unet" / WEIGHTS).read_bytes()).hexdigest()


def test_a_pinned_checkpoint_opens_and_other_weights_are_refused_in_one_line(trained):
    source, sha256 = str(trained / "pipeline"), sha256_of(trained)
    assert Checkpoint(source, sha256=sha256).open().shape == SHAPE
    with pytest.raises(UserError, match=f"has sha256 {sha256}, expected {'0' * 64}$"):
        Checkpoint(source, sha256="0" * 64).open()
    with pytest.raises(UserError, match="sha256 needs a folder"):
        Checkpoint("some/hub-id", sha256=sha256).open()


def test_a_pinned_checkpoint_gets_its_card_on_draws_of_the_teacher(trained, tmp_path):
    given = {"pipeline": str(trained / "pipeline"), "sha256": sha256_of(trained)}
    family = EDMFamily(**given, num_ode_steps=2, num_draws=64)
    with torch.no_grad():
        _, card = family.fit({}, tmp_path, GAUSSIAN)
    assert set(card["relative_error_of_score"]) == {f"{sigma:g}" for sigma in cards.SIGMAS}
    assert sha256_of(tmp_path) == given["sha256"]
    assert (tmp_path / "samples.png").is_file()
