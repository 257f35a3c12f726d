"""The card of a network from a checkpoint takes a few thousand network rows, for any number of images."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bench.priors import _learned_card as cards
from bench.priors._examination import OF_IMAGES
from bench.priors.adapters.preconditioning import EDMDenoiser
from bench.priors.edm import EDMFamily
from bench.stages.prior import NUM_SETS, ROWS_OF_CHECKPOINT, quality

SHAPE = (1, 4, 4)


@dataclass
class Counting:
    """A denoiser of N(0, I) that counts its rows, and draws 19 rows each."""

    rows: int = 0
    sample_nfe: int = 19
    sigma_range: tuple[float, float] = (0.002, 80.0)
    seen: list[int] = field(default_factory=list)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        self.rows += len(x_t)
        return x_t / (1 + sigma.square())

    def sample(self, num_samples: int, rng) -> Tensor:
        self.seen.append(len(rng) * num_samples)
        return rng.randn((num_samples, *SHAPE))


def images(num: int) -> dict[str, Tensor]:
    return dict.fromkeys(cards.PARTS, torch.zeros(num, *SHAPE))


@pytest.mark.parametrize(("most", "rows"), [(cards.MOST_IMAGES, 7500), (64, 960)])
def test_the_errors_take_so_many_images_of_each_part(most, rows):
    prior = Counting()
    card = cards.learned_card(prior, images(500), None, 0, most)
    assert prior.rows == rows  # three parts at five noise levels
    assert set(card["denoiser_rms_error"]) == set(cards.PARTS)


def test_draws_for_the_card_keep_to_the_rows_of_a_checkpoint():
    prior = Counting()
    few = quality(prior, images(500), ROWS_OF_CHECKPOINT)
    assert few["num_images"] == ROWS_OF_CHECKPOINT // (NUM_SETS * 19) == 26
    assert prior.seen == [26] * NUM_SETS
    assert quality(Counting(sample_nfe=1000), images(500), ROWS_OF_CHECKPOINT)["num_images"] == 8
    assert quality(Counting(), images(500))["num_images"] == 500


def test_a_checkpoint_on_small_images_is_opened_with_a_few_thousand_rows(tmp_path, monkeypatch):
    """Before, the comparison of two integrators alone took 25,000."""
    settings = {"channels": (4, 4), "num_iterations": 1, "num_ode_steps": 10}
    data = {part: torch.ones(70, 1, 8, 8) for part in cards.PARTS}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    EDMFamily(**settings).fit(data, tmp_path / "a", None)
    rows, called = [], EDMDenoiser.__call__
    monkeypatch.setattr(
        EDMDenoiser, "__call__", lambda *given: rows.append(len(given[1])) or called(*given)
    )
    family = EDMFamily(pipeline=str(tmp_path / "a" / "pipeline"), num_ode_steps=10)
    with torch.no_grad():
        _, card = family.fit(data, tmp_path / "b", None)
    assert sum(rows) < 3000
    assert OF_IMAGES in card["examination"]  # as the cards of all foreign networks
