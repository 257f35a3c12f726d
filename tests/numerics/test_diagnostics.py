"""R-hat and effective sample size against closed forms."""

import math

import numpy as np
import pytest
import torch

from bench.numerics.chains import FUNCTIONALS, chain_diagnostics, why_not_mixed
from bench.numerics.diagnostics import (
    bulk_effective_sample_size,
    effective_sample_size,
    rank_normalise,
    rank_normalised_rhat,
    split_rhat,
    tail_effective_sample_size,
)


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


def test_rhat_detects_one_chain_that_drifts():
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
    # every correlation is 1, and the sum has all but the last lags: of halves of 5 and 10 states 1 + 2 (3 / 2) = 4 and
    # 1 + 2 (11 / 2) = 12 terms, so 20 / 4 = 5 and 40 / 12 = 10 / 3
    for length, size in ((10, 5), (20, 10 / 3)):
        apart = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, length)
        assert split_rhat(apart).isposinf() and effective_sample_size(
            apart
        ).item() == pytest.approx(size)


def test_rank_normalisation():
    chains = normal(4, 250)
    scores = rank_normalise(chains)
    torch.testing.assert_close(rank_normalise(chains.exp()), scores)  # ranks alone matter
    assert scores.std() == pytest.approx(1, abs=0.01)
    tied = rank_normalise(torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    assert tied[0, 1] == tied[1, 0] == 0


def test_too_short_chains_are_refused_with_a_message():
    with pytest.raises(ValueError, match="3 states"):
        split_rhat(torch.zeros(2, 3))


def recursion(shape: tuple[int, int], a: float, scale: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(7).standard_normal(shape) * scale
    x = np.zeros(shape)
    for t in range(1, shape[1]):
        x[:, t] = a * x[:, t - 1] + noise[:, t]
    return x


def generator(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


CHAINS = {
    "slow": recursion((4, 200), 0.8, 0.6),
    "heavy tails": generator().standard_cauchy((3, 101)),
    "one apart": generator().standard_normal((4, 60)) + np.array([0, 0, 0, 2.0])[:, None],
    "one wider": generator().standard_normal((4, 80)) * np.array([1, 1, 1, 4.0])[:, None],
    "alternating": recursion((2, 300), -0.6),
    "ties": generator().integers(0, 4, (4, 50)).astype(float),
    "short": recursion((4, 12), 0.9),
    "lags run out": generator(56).standard_normal((4, 19)),
    "no state beyond": generator(2).integers(0, 4, (5, 17)).astype(float),
    "quantile on a state": generator(2).standard_normal((11, 11)),
    "median between states": generator(26).standard_cauchy((4, 32)),
}
ARVIZ = {  # of ArviZ 0.22.0: rhat(x, method="rank"), ess(x, method="bulk"), ess(x, method="tail")
    "slow": (1.0310727169300373, 91.57293220786042, 189.92418249858542),
    "heavy tails": (1.007145871663842, 287.81316201412875, 269.84450907248015),
    "one apart": (1.3829189431312046, 10.050669064973716, 28.23905703962565),
    "one wider": (1.121265084461309, 324.52233456061373, 33.74723680019049),
    "alternating": (0.9975549306209274, 1666.890750230186, 407.8639975440254),
    "ties": (1.0002886715484525, 218.66263085209886, 198.354484257679),
    "lags run out": (1.0495491472343605, 56.91348472448152, 74.30277185501069),
    "no state beyond": (1.0327659205577548, 92.05003061539512, 80.0),
    "quantile on a state": (1.0043891415303061, 224.55319536740473, 160.4743912678423),
    "median between states": (1.0394484274498481, 120.54525145402958, 87.56394372192366),
    "short": (1.9135910150565831, 15.164190777892102, 21.818181818181817),
}


def ours(chains: np.ndarray) -> tuple[float, float, float]:
    x = torch.from_numpy(chains)
    diagnostics = (rank_normalised_rhat, bulk_effective_sample_size, tail_effective_sample_size)
    return tuple(diagnostic(x).item() for diagnostic in diagnostics)


@pytest.mark.parametrize("name", ARVIZ)
def test_agrees_with_stored_values_of_arviz(name):
    assert ours(CHAINS[name]) == pytest.approx(ARVIZ[name], rel=1e-9)


@pytest.mark.parametrize("name", CHAINS)
def test_agrees_with_arviz(name):
    arviz = pytest.importorskip("arviz", minversion="0.22")
    x = CHAINS[name]
    theirs = arviz.rhat(x, method="rank"), arviz.ess(x, method="bulk"), arviz.ess(x, method="tail")
    assert ours(x) == pytest.approx([float(value) for value in theirs], rel=1e-9)


def test_folding_and_tails_detect_what_means_do_not():
    same_means = torch.from_numpy(CHAINS["one wider"])
    assert split_rhat(rank_normalise(same_means)) < 1.02 < 1.1 < rank_normalised_rhat(same_means)
    assert tail_effective_sample_size(same_means) < 0.2 * bulk_effective_sample_size(same_means)


def test_diagnostics_of_a_batch_are_those_of_each():
    both = torch.stack([torch.from_numpy(CHAINS["one wider"]), normal(4, 80)])
    for diagnostic in (
        rank_normalised_rhat,
        bulk_effective_sample_size,
        tail_effective_sample_size,
    ):
        torch.testing.assert_close(diagnostic(both), torch.stack([diagnostic(x) for x in both]))


def test_agrees_with_arviz_on_short_chains_and_ties():
    """Lags that run out, quantiles and medians that fall on states, tails without a state: from 10 states on."""
    arviz = pytest.importorskip("arviz", minversion="0.22")
    rng = np.random.default_rng(3)
    for length in (*range(10, 22), 32, 33, 101):
        for chains in (
            rng.standard_normal((3, length)),
            rng.integers(0, 4, (4, length)).astype(float),
        ):
            theirs = [arviz.rhat(chains, method="rank")] + [
                arviz.ess(chains, method=m) for m in ("bulk", "tail")
            ]
            # sums of some hundred terms of order one: rounding of 1e-13 at most
            assert ours(chains) == pytest.approx([float(value) for value in theirs], rel=1e-9), (
                length
            )


def test_chains_too_short_for_arviz_still_tell_states_that_repeat():
    moving, stuck = normal(4, 8), normal(4, 1).expand(4, 8) + 1e-3 * normal(4, 8, seed=1)
    # ArviZ gives 32 log10(32) = 48 for both; four stuck chains are worth about four samples, and eight halves no more
    assert bulk_effective_sample_size(stuck) < 8 < bulk_effective_sample_size(moving)


def test_tails_of_ties_and_of_chains_that_do_not_move():
    # 16 % tie at the top: no state is beyond the 95 % quantile
    capped = normal(4, 50).clamp(max=1.0)
    assert tail_effective_sample_size(capped) <= 200
    for diagnostic in (
        rank_normalised_rhat,
        bulk_effective_sample_size,
        tail_effective_sample_size,
    ):
        assert diagnostic(torch.ones(2, 10, dtype=torch.float64)).isnan()


# --- whether chains have mixed --------------------------------------------------------------------------------------

LAYOUT, ROW = (4, 16), (16, len(FUNCTIONALS))  # chains and states; measurements and functionals


def verdict(states: torch.Tensor) -> str:
    return why_not_mixed(rank_normalised_rhat(states), *states.shape[-2:])


@pytest.mark.parametrize("layout", [(4, 16), (6, 10), (2, 32), (1, 64), (4, 64)])
def test_independent_draws_have_mixed_in_any_layout(layout):
    """20 rows of 16 measurements each: by design one in a hundred has a measurement too far off."""
    reasons = [verdict(normal(*ROW, *layout, seed=seed)) for seed in range(20)]
    assert reasons.count("") >= 18


def test_slow_chains_have_not_mixed():
    """Correlation 0.9 between neighbours, which 16 chains of 4 states showed as 23 of 64 effective."""
    assert verdict(autoregressive((*ROW, *LAYOUT), 0.9)).startswith(
        "n/a (chains have not mixed, R-"
    )
    assert verdict(normal(*ROW, 16, 4)) == "n/a (fewer than 10 states per chain)"


def test_chains_that_do_not_move_have_not_mixed():
    starts, jitter = normal(*ROW, 4, 1), normal(*ROW, *LAYOUT, seed=1)
    assert verdict(starts + 0.01 * jitter).startswith("n/a (chains have not mixed, R-hat")
    assert verdict(starts.expand(*ROW, *LAYOUT)) == "n/a (chains have not mixed: they do not move)"


def test_chains_stuck_in_two_modes_of_one_measurement_have_not_mixed():
    states = normal(*ROW, *LAYOUT)
    assert verdict(states) == ""
    states[3, :, :2] += 4  # two of four chains in another mode
    assert verdict(states).startswith("n/a (chains have not mixed, R-hat")


def test_a_functional_that_is_constant_for_all_measurements_is_ignored():
    states = normal(*ROW, *LAYOUT)
    states[:, 0] = 1
    assert verdict(states) == ""


def test_nested_r_hat_of_many_short_chains():
    """Of 4 groups of 4 chains of 2 states: sqrt(1 + 1 / 8) for independent states."""
    likelihood, x = normal(200, 32), normal(200, 32, 3, seed=1)
    nested = chain_diagnostics(likelihood, x, 16)["rhat_nested"].square()
    assert 1 + 1 / 8 < nested.mean() < 1 + 3 / 8  # the largest of four functionals
    apart = torch.arange(16).div(4, rounding_mode="floor").repeat(2).to(x)
    assert (chain_diagnostics(likelihood + 5 * apart, x, 16)["rhat_nested"] > 3).all()
    assert chain_diagnostics(likelihood, x, 4)["rhat_nested"].isnan().all()  # one chain a group
    assert chain_diagnostics(likelihood, x, 16)["rhat"].isnan().all()  # two states a chain
