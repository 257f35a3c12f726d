"""ODS on larger images: its wavelets, the affine map in them, and its networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.numerics.nets import initialise
from bench.problems import make_problem
from bench.runtime.metering import counted
from methods.ods import ODS, surrogate, trajectory
from methods.ods.convolutions import ImagePolicy
from methods.ods.outsourced import flat_likelihood
from methods.ods.wavelets import (
    Frame,
    curvature_in_wavelets,
    damped,
    fit_wavelets,
    no_wavelets,
    with_curvature,
)

TINY = dict(ODS.tiny) | {"network": "convolutional", "num_channels": 4}
SHAPE = (3, 32, 32)


def points(n: int, *shape: int, what: str = "points") -> Tensor:
    return Rng(("test", "wavelets", what), range(n)).randn(shape)


def frame_of(shape: tuple[int, int, int]) -> Frame:
    colours = torch.linalg.qr(points(1, shape[0], shape[0], what="colours")[0])[0]
    return Frame(shape, colours)


@pytest.mark.parametrize("shape", [(3, 16, 32), (1, 4, 4)])
def test_the_frame_is_orthonormal(shape):
    frame, x = frame_of(shape), points(4, *shape).flatten(1)
    coefficients = frame.coefficients(x)
    torch.testing.assert_close(frame.images(coefficients), x, rtol=0, atol=1e-12)
    torch.testing.assert_close(coefficients @ coefficients.T, x @ x.T, rtol=1e-12, atol=1e-12)


def test_a_band_is_one_size_direction_and_colour():
    frame = frame_of((3, 16, 32))
    bands, pixels = frame.bands(), frame.pixels()
    assert frame.num_coarse == 3 * 4 * 8 and bands[: frame.num_coarse].max() == 0
    assert int(bands.max()) == 2 * 3 * 3
    for band in range(1, int(bands.max()) + 1):
        wavelet = torch.zeros(1, len(bands), dtype=torch.float64)
        first = int((bands == band).nonzero()[0])
        wavelet[0, first] = 1
        image = frame.images(wavelet).view(3, 16, 32)
        assert (image.abs().sum(0) > 1e-12).sum() == pixels[first] ** 2


def decoded(frame: Frame, z: Tensor) -> tuple[Tensor, Tensor]:
    """A decoder that is diagonal in the frame: images and gains."""
    gains = torch.linspace(1.5, 0.1, z.shape[1], dtype=torch.float64)
    return 0.2 + frame.images(gains * frame.coefficients(z)), gains


def test_the_map_of_a_decoder_that_is_diagonal_in_wavelets_is_found():
    shape, frame = (1, 16, 16), Frame((1, 16, 16), torch.eye(1).double())
    z = points(400, *shape).flatten(1)
    x, gains = decoded(frame, z)
    fitted = fit_wavelets(z, x, shape)
    u = fitted.coordinates(z)
    torch.testing.assert_close(fitted.latents(u), z, rtol=0, atol=1e-12)
    error = (fitted.images(u) - x).square().mean() / x.var()
    # gains are drawn towards those of their band, and slopes of the coarse image from 400 draws err
    assert error < 2e-3
    assert (
        fitted.gains[fitted.frame.num_coarse :] - gains[fitted.frame.num_coarse :]
    ).abs().max() < 0.06


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [("inpaint-box", {"box": 8}), ("average-pool", {"factor": 4}), ("denoise", {})],
)
def test_curvature_in_wavelets_is_that_of_the_dense_hessian(operator, parameters):
    shape = (1, 16, 16)
    frame, problem = (
        Frame(shape, torch.eye(1).double()),
        make_problem(operator, parameters, 0.1, shape),
    )
    rng = Rng(("test", "y"), [0])
    x = rng.randn((1, *shape))[0]
    y = problem.simulate(x, rng)
    likelihood = flat_likelihood(Shaped(shape), problem)
    signs = points(1, 256)[0].sign()
    block, diagonal = curvature_in_wavelets(likelihood, x.flatten(1), y, frame, signs)
    basis = frame.images(torch.eye(256).double())  # a row is a wavelet
    dense = basis @ surrogate.mean_curvature(likelihood, x.flatten(1), y) @ basis.T
    k = frame.num_coarse
    torch.testing.assert_close(block, dense[:k, :k], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(diagonal[k:], dense.diagonal()[k:], rtol=1e-6, atol=1e-6)


def test_curvature_covers_interactions_of_wavelets():
    """Under a mask without blocks the diagonal is a share of the largest curvature: steps would diverge."""
    shape = (1, 16, 16)
    problem = make_problem("inpaint-random", {"visible_fraction": 0.25}, 0.02, shape)
    rng = Rng(("test", "y"), [0])
    z, signs = points(300, *shape).flatten(1), points(1, 256)[0].sign()
    fitted = fit_wavelets(z, z, shape)  # a decoder that changes nothing
    x = rng.randn((1, *shape))[0]
    y, likelihood = problem.simulate(x, rng), flat_likelihood(Shaped(shape), problem)
    hessian = curvature_in_wavelets(likelihood, x.flatten(1), y, fitted.frame, signs)
    for name, turned in (("as it is", with_curvature(fitted, hessian)), ("damped", None)):
        turned = turned or damped(
            with_curvature(fitted, hessian), likelihood, x.flatten(1), y, signs
        )
        basis = turned.images(torch.eye(256).double()) - turned.shift.flatten()
        dense = basis @ surrogate.mean_curvature(likelihood, x.flatten(1), y) @ basis.T
        scale = (1 + turned.curvature).rsqrt()
        largest = torch.linalg.eigvalsh(scale * dense * scale[:, None])[-1]
        assert largest > 2 if name == "as it is" else largest < 2


def test_gradients_go_back_through_the_map_as_through_its_matrix():
    shape = (3, 16, 16)
    fitted = fit_wavelets(
        points(300, *shape).flatten(1), points(300, *shape, what="x").flatten(1), shape
    )
    k, fitted = fitted.frame.num_coarse, fitted._replace(missed=torch.zeros(768).double())
    hessian = (torch.diag(torch.linspace(1, 5, k).double()), torch.ones(768).double())
    turned = with_curvature(fitted, hessian)
    u, gradients = points(2, 768), points(2, 768, what="gradients")
    origin = turned.images(torch.zeros_like(u))
    there = ((turned.images(u) - origin) * gradients).sum(1)
    torch.testing.assert_close((turned.pulled_back(gradients) * u).sum(1), there)
    # turning the axes leaves the map as it was
    z = turned.latents(u)
    torch.testing.assert_close(turned.images(u), fitted.images(fitted.coordinates(z)))


def test_the_error_of_the_map_counts_as_noise_of_the_measurement():
    """y = x + n, x = z + missed: p(y | z) has the variance of both, in the coarse image and in details."""
    shape, sigma_y = (1, 16, 16), 0.2
    z = points(1, 4000, 256)[0]
    x = z + 0.5 * points(1, 4000, 256, what="missed")[0]
    fitted = fit_wavelets(z, x, shape)
    assert (fitted.missed / 0.25 - 1).abs().mean() < 0.05
    block, missed = torch.eye(64).double() / sigma_y**2, torch.full((256,), 0.25).double()
    known = fitted._replace(matrix=torch.eye(64).double(), gains=missed / missed, missed=missed)
    turned = with_curvature(known, (block, missed / missed / sigma_y**2))
    expected = missed / missed / (0.25 + sigma_y**2)
    torch.testing.assert_close(turned.curvature, expected, rtol=1e-9, atol=0)
    gradients = points(1, 256, what="gradients")
    back = turned.latents(turned.pulled_back(gradients))
    torch.testing.assert_close(back, gradients * sigma_y**2 * expected, rtol=1e-9, atol=1e-9)


def test_latent_curvature_is_that_of_the_dense_hessian():
    shape = (1, 6, 6)
    problem, rng = make_problem("inpaint-box", {"box": 2}, 0.2, shape), Rng(("test", "y"), [0])
    x = rng.randn((2, *shape))[0]
    y, matrix = problem.simulate(x, rng), points(5, 36)
    likelihood = flat_likelihood(Shaped(shape), problem)
    dense = matrix @ surrogate.mean_curvature(likelihood, x.flatten(1), y) @ matrix.T
    found = surrogate.latent_curvature(likelihood, x.flatten(1), y, matrix)
    torch.testing.assert_close(found, dense, rtol=1e-7, atol=1e-7)


class Shaped:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def test_the_bridge_has_the_moments_of_noising_back():
    schedule, n = trajectory.vp_schedule(5, 0.5, 0.05), 40_000
    rng = Rng(("test", "bridge"), [0])
    u = torch.tensor([[1.5]], dtype=torch.float64).expand(n, 1)
    paths = trajectory.noise_backwards(u, schedule, rng.randn((n, 5, 1))[0])[..., 0]
    for i in range(5):
        step = torch.full((n,), i)
        z, law = trajectory.bridge(u, step, schedule, rng.randn((n, 1))[0])
        joint = torch.cat([z, law.mean + law.std * rng.randn((n, 1))[0]], 1)
        expected = paths[:, i : i + 2]
        # 5 standard errors of a difference of two means, variances or covariances of order one
        assert (joint.mean(0) - expected.mean(0)).abs().max() < 5 * (2 / n) ** 0.5
        assert (joint.T.cov() - expected.T.cov()).abs().max() < 5 * (4 / n) ** 0.5
    assert law.std.max() == 0 and torch.equal(law.mean, u)


def test_cross_entropy_is_the_mean_of_minus_log_density():
    law = trajectory.Kernel(torch.tensor([[0.3, -1.0]]), torch.tensor([[0.5, 2.0]]))
    kernel = trajectory.Kernel(torch.tensor([[0.0, 0.2]]), torch.tensor([[1.0, 1.5]]))
    samples = law.mean + law.std * points(1, 200_000, 2)[0].float()
    found = -kernel.log_prob(samples)
    assert (
        abs(found.mean() - trajectory.cross_entropy(law, kernel)) < 5 * found.std() / 200_000**0.5
    )


# ---- networks


def test_the_policy_starts_as_the_guide_and_rows_do_not_interact():
    z = points(4, 768).float()
    policy = ImagePolicy(5, no_wavelets(z.double(), (3, 16, 16)), 2, 4)
    initialise(policy, Rng(("test", "policy"), [0]), zero=policy.ends)
    step, pull, precision = torch.arange(4), points(4, 768, what="pull").float(), torch.ones(4, 768)
    features = points(4, 2, 16, 16).float()
    found = policy(z, step, pull, precision, features)
    assert torch.equal(found[0], pull) and torch.equal(found[1], precision)
    initialise(policy, Rng(("test", "policy"), [0]))
    together = policy(z, step, pull, precision, features)
    alone = policy(z[1:2], step[1:2], pull[1:2], precision[1:2], features[1:2])
    for part, whole in zip(alone, together, strict=True):
        torch.testing.assert_close(part, whole[1:2], rtol=1e-4, atol=1e-4)
    assert (together[0] - pull).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "take 'auto'"), ({"drift": "plain"}, "take 'auto'")],
)
def test_vectors_have_no_unets(settings, words):
    prior = Shaped((3, 32, 32))
    prior.latent_shape = (64,)
    with pytest.raises(ValueError, match=words):
        ODS(network="convolutional", **settings).is_convolutional(prior)
    assert not ODS().is_convolutional(prior)


def test_latents_of_another_size_need_the_plain_drift():
    prior = Shaped((3, 64, 64))
    prior.latent_shape = (4, 32, 32)
    with pytest.raises(ValueError, match="differ; take drift = 'plain'"):
        ODS().is_convolutional(prior)
    assert ODS(drift="plain").is_convolutional(prior)


# ---- posteriors and conduct


def train(method: ODS, problem: ToyProblem) -> dict[str, Tensor]:
    return method.train(problem.prior, problem, rng=Rng(("test", "train"), [0]))


def draw(method: ODS, problem: ToyProblem, y: Tensor, s: int, state: dict | None = None, ids=None):
    rng = Rng(("test", "sample"), ids or range(len(y)), range(s))
    return method.sample(problem.prior, problem, y, s, rng=rng, state=state or {})


def measured(problem: ToyProblem, m: int) -> Tensor:
    rng = Rng(("test", "y"), range(m))
    return problem.simulate(problem.prior.sample(1, rng)[:, 0], rng)


@pytest.mark.parametrize("amortised", [True, False])
def test_moments_under_an_affine_decoder(amortised):
    """The map is near the decoder but not it; the steps that are trained make up for that."""
    problem = ToyProblem(ToyPrior(), sigma_y=0.2)
    settings = {"num_iterations": 100 if amortised else 15, "num_fit": 1024, "num_channels": 8}
    method = ODS(**TINY | settings | {"amortised": amortised, "num_groups": 8})
    y, state = measured(problem, 2), train(method, problem)
    x = draw(method, problem, y, 1000, state).flatten(2)
    mean, covariance = problem.posterior(y)
    assert (x.mean(1) - mean).abs().max() < 0.15  # prior deviation 0.5
    std = covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert ((x.std(1) / std).log().abs() < 0.4).all()
    if amortised:
        rng = Rng(("judge",), range(2))
        quality = method.diagnose(problem.prior, problem, y, 200, rng=rng, state=state)
        assert (quality["path_ess"] > 0.1).all()


@pytest.mark.parametrize(
    ("settings", "amortised"),
    [
        ({}, True),
        ({}, False),
        ({"loss": "tb", "distil_steps": 2}, True),
        ({"drift": "plain", "warm_start": 0.5}, True),
        ({"drift": "plain"}, False),
    ],
    ids=str,
)
def test_same_seed_same_bits_and_rows_alone_as_together(settings, amortised):
    problem = ToyProblem(ToyPrior(3))
    method = ODS(**TINY | {"num_iterations": 3, "amortised": amortised} | settings)
    y, state = measured(problem, 2), train(method, problem)
    again = train(method, problem)
    assert state.keys() == again.keys()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert all(tensor.isfinite().all() for tensor in state.values())
    x = draw(method, problem, y, 4, state)
    assert torch.equal(x, draw(method, problem, y, 4, state))
    alone = draw(method, problem, y[1:2], 4, state, [1])
    torch.testing.assert_close(alone, x[1:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"amortised": False}, {"guide": "decoder"}], ids=str)
def test_its_cost_is_as_stated(settings):
    prior, m, s = ToyPrior(), 2, 7
    method = ODS(**TINY | {"num_iterations": 5} | settings)
    problem = ToyProblem(prior)
    y, state = measured(problem, m), train(method, problem)
    watched, meter = counted(prior)
    rng = Rng(("test", "ods"), range(m), range(s))
    method.sample(watched, problem, y, s, rng=rng, state=state)
    stated = method.nfe(prior, s)[:2]
    assert (meter.nfe(m * s), meter.nfe_vjp(m * s)) == pytest.approx(stated, rel=1e-12)
