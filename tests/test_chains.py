"""R-hat and effective sample size against closed forms."""

import math

import pytest
import torch

from bench.formulas.chains import effective_sample_size, rank_normalise, split_rhat


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autoregressive(shape: tuple[int, ...], a: float) -> torch.Tensor:
    """Stationary x_t = a x_(t-1) + sqrt(1 - a^2) noise along the last axis."""
    noise = normal(*shape)
    states = [noise[..., 0]]
    for t in range(1, shape[-1]):
        states.append(a * states[-1] + math.sqrt(1 - a * a) * noise[..., t])
    return torch.stack(states, -1)


def test_independent_chains_agree_and_count_in_full():
    chains = normal(200, 4, 500)
    # E[R-hat] - 1 is about (B/W - 1) / (2 n) = O(1 / 500); the mean over 200 repetitions has error below 1e-3
    assert split_rhat(chains).mean() == pytest.approx(1, abs=3e-3)
    # the estimate scatters by about 5 % here; Geyer's truncation biases it by a few per cent
    assert effective_sample_size(chains).mean() == pytest.approx(2000, rel=0.05)


@pytest.mark.parametrize("a", [0.5, 0.9, -0.5])
def test_effective_sample_size_of_an_autoregression(a):
    chains = autoregressive((200, 4, 2000), a)
    expected = 8000 * (1 - a) / (1 + a)  # sum over lags of a^|t|
    assert effective_sample_size(chains).mean() == pytest.approx(expected, rel=0.08)


def test_rhat_of_separated_chains_has_its_closed_form():
    # two chains at -d and d with unit variance: four halves, between-variance 4 d^2 / 3, R^2 -> 1 + 4 d^2 / 3
    chains = normal(50, 2, 4000) + torch.tensor([-2.0, 2.0], dtype=torch.float64)[:, None]
    assert split_rhat(chains).mean() == pytest.approx(math.sqrt(1 + 16 / 3), rel=0.01)


def test_rhat_sees_one_chain_that_drifts():
    drift = torch.linspace(-3, 3, 1000, dtype=torch.float64)
    assert split_rhat(normal(1, 1000) + drift) > 1.3


def test_invariance_to_scale_and_to_order_of_chains():
    chains = autoregressive((3, 4, 100), 0.5)
    for diagnostic in (split_rhat, effective_sample_size):
        torch.testing.assert_close(diagnostic(5 - 3 * chains), diagnostic(chains))
        torch.testing.assert_close(diagnostic(chains.flip(-2)), diagnostic(chains))


def test_chains_that_do_not_move():
    same = torch.ones(2, 10, dtype=torch.float64)
    assert split_rhat(same).isnan() and effective_sample_size(same).isnan()
    apart = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, 10)
    assert split_rhat(apart).isposinf() and effective_sample_size(apart) <= 4


def test_rank_normalisation():
    chains = normal(4, 250)
    scores = rank_normalise(chains)
    torch.testing.assert_close(rank_normalise(chains.exp()), scores)  # ranks alone matter
    assert scores.std() == pytest.approx(1, abs=0.01)
    tied = rank_normalise(torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    assert tied[0, 1] == tied[1, 0] == 0


def test_too_short_chains_are_refused_in_words():
    with pytest.raises(ValueError, match="3 states"):
        split_rhat(torch.zeros(2, 3))
