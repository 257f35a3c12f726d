"""APS on larger images: invertible at each size, with the log-determinant that autograd finds."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.numerics.nets import initialise
from bench.problems import make_problem
from methods.aps import APS
from methods.aps.multiscale import MultiscaleGenerator
from methods.aps.scales import ConvCoupling, Scale, mixed

CONVOLUTIONAL = dataclasses.replace(
    APS(), **APS.tiny, network="convolutional", conv_channels=6, conv_layers=2
)


def points(n: int, *shape: int, what: str = "points") -> Tensor:
    return Rng(("test", "scales", what), range(n)).randn(shape)


def new(module: nn.Module) -> nn.Module:
    """Return a module in float64 with random weights, none of them zero."""
    return initialise(module, Rng(("test", "scales"), [0]), gain=0.7).double()


def jacobian_log_det(function, z: Tensor) -> Tensor:
    jacobian = torch.autograd.functional.jacobian(lambda z: function(z)[0], z)
    return torch.linalg.slogdet(jacobian.reshape(z.numel(), z.numel()))[1]


@pytest.mark.parametrize("num_channels", [3, 9])
def test_a_coupling_is_invertible_with_the_log_determinant_of_its_jacobian(num_channels):
    layer = new(ConvCoupling(num_channels, 4, 8))
    u, context = points(1, num_channels, 3, 4), points(1, 4, 3, 4, what="context")
    x, log_det = layer(u, context)
    assert (x - u).abs().max() > 0.1  # there was something to undo
    expected = jacobian_log_det(lambda u: layer(u, context), u)
    torch.testing.assert_close(log_det[0], expected, rtol=1e-10, atol=1e-10)
    back, inverse_log_det = layer.inverse(x, context)
    torch.testing.assert_close(back, u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=1e-12, atol=1e-12)


def test_channels_are_mixed_by_a_rotation():
    rotation = new(ConvCoupling(9, 2, 4)).rotation()
    eye = torch.eye(9, dtype=torch.float64)
    torch.testing.assert_close(rotation @ rotation.T, eye, rtol=0, atol=1e-12)
    assert (rotation - eye).abs().max() > 0.1
    assert torch.equal(
        mixed(torch.ones(1, 9, 1, 1).double(), 2 * eye).flatten(), torch.full((9,), 2.0).double()
    )


def scale_and_inputs() -> tuple[Scale, list[Tensor]]:
    scale = new(Scale((1, 3, 4), 2.0, 5, 6, 2))
    for name, buffer in scale.named_buffers():
        values = points(1, *buffer.shape, what=name)[0]
        buffer.copy_(values.exp() if name == "spread" else 0.3 * values + buffer)
    inputs = [points(1, k, 3, 4, what=f"inputs {k}") for k in (1, 4, 5)]
    return scale, inputs


def test_details_of_a_size_are_invertible_with_the_log_determinant_of_their_jacobian():
    scale, inputs = scale_and_inputs()
    u = points(1, 3, 3, 4)
    details, log_det = scale(u, *inputs)
    expected = jacobian_log_det(lambda u: scale(u, *inputs), u)
    torch.testing.assert_close(log_det[0], expected, rtol=1e-10, atol=1e-10)
    back, inverse_log_det = scale.inverse(details, *inputs)
    torch.testing.assert_close(back, u, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=1e-10, atol=1e-10)


def whole(shape: tuple[int, ...]) -> tuple[MultiscaleGenerator, Tensor]:
    """Return a generator in float64, two sizes of details above its coarse image, and a measurement."""
    problem = make_problem("inpaint-box", {"box": 8}, 0.3, shape)
    rng = Rng(("test", "y"), [0])
    x = 0.5 * rng.randn((64, *shape))[0]
    y = problem.simulate(x, rng)
    with torch.random.fork_rng(devices=[]):
        generator = MultiscaleGenerator(shape, problem, y, (8, 2, 2), 4, 1)
    generator = initialise(generator, rng, gain=0.5)
    generator.fit_base(x, y, "regression")
    return generator.double(), y[:1]


def test_the_whole_image_is_invertible_with_the_log_determinant_of_its_jacobian():
    shape = (1, 16, 20)
    generator, y = whole(shape)
    z = points(1, *shape)
    x, log_q = generator(z, y)
    assert generator.num_halvings == 2 and generator.coarse.root.shape == (20, 20)
    log_normal = -(z.square().sum() + z.numel() * math.log(2 * math.pi)) / 2
    expected = log_normal - jacobian_log_det(lambda z: generator(z, y), z)
    torch.testing.assert_close(log_q[0], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(generator.log_prob(x, y), log_q, rtol=1e-9, atol=1e-9)


def test_chunks_of_rows_change_neither_samples_nor_gradients():
    generator, y = whole((1, 16, 20))
    z, y = points(5, 1, 16, 20), y.expand(5, -1, -1, -1)
    found = []
    for rows in (5, 2):
        generator.rows = rows
        x, log_q = generator(z, y)
        loss = x.square().sum() + log_q.sum()
        found.append([x, log_q, *torch.autograd.grad(loss, list(generator.parameters()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_nothing_is_as_large_as_pixels_times_pixels():
    shape = (3, 64, 64)
    problem = make_problem("denoise", {}, 0.5, shape)
    generator = APS()._generator(Shaped(shape), problem, torch.zeros(1, *shape))
    assert isinstance(generator, MultiscaleGenerator)
    largest = max(tensor.numel() for tensor in generator.state_dict().values())
    assert largest < 10 * 3 * 64 * 64


@dataclasses.dataclass(frozen=True)
class Shaped:
    shape: tuple[int, ...]


@pytest.mark.parametrize(
    ("shape", "network", "expected"),
    [
        ((1, 32, 32), "auto", False),
        ((3, 32, 32), "auto", True),
        ((5000,), "auto", False),
        ((3, 32, 32), "dense", False),
        ((1, 8, 8), "convolutional", True),
        ((1, 2562, 1), "auto", False),  # vertices of a mesh
    ],
)
def test_auto_is_dense_for_up_to_1024_numbers_and_for_vectors(shape, network, expected):
    assert APS(network=network).is_convolutional(shape) == expected


@pytest.mark.parametrize("shape", [(7,), (1, 642, 1)])
def test_vectors_and_meshes_have_no_convolutions(shape):
    with pytest.raises(ValueError, match="expected images"):
        APS(network="convolutional").is_convolutional(shape)


def test_posterior_of_a_linear_gaussian_problem():
    """The base is local, so that it is near the posterior, not on it: mean to 0.2, KL divergence below 0.35 nats."""
    prior = ToyPrior()
    problem = ToyProblem(prior, sigma_y=0.2)
    settings = {"num_iterations": 150, "num_simulated": 2048, "batch_size": 64}
    method = dataclasses.replace(CONVOLUTIONAL, warm_start=0.5, sigma_min=0.01, **settings)
    state = method.train(prior, problem, rng=Rng(("test", "train"), [0]))
    rng = Rng(("test", "y"), range(4))
    y, s = problem.simulate(prior.sample(1, rng)[:, 0], rng), 400
    x = method.sample(prior, problem, y, s, rng=Rng(("test",), range(4), range(s)), state=state)
    mean, covariance = problem.posterior(y)
    with torch.no_grad():
        generator = method._generator(prior, problem, y, state)
        log_q = generator.log_prob(x.flatten(0, 1), y.repeat_interleave(s, 0)).view(4, s)
    log_p = MultivariateNormal(mean[:, None], covariance[:, None]).log_prob(x.flatten(2))
    kl = (log_q - log_p).mean(1)
    assert (kl > -0.1).all() and (kl < 0.35).all(), kl
    assert (x.flatten(2).mean(1) - mean).abs().max() < 0.2
