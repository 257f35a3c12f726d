"""The Gaussian mixture against autograd, quadrature and other closed forms."""

import dataclasses
import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.datasets.digits import Digits
from bench.priors._gmm_fit import fit_gmm
from bench.priors._mixture_score import Score
from bench.priors.gmm import GMM


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(num_components, shape, seed=0):
    """Means of unit size, variances between about 0.1 and 1."""
    size = math.prod(shape)
    factor = 0.5 * normal(num_components, size, size, seed=seed) / size**0.5
    covariances = factor @ factor.mT + 0.1 * torch.eye(size, dtype=torch.float64)
    weights = normal(num_components, seed=seed + 1).softmax(0)
    return GMM(weights, normal(num_components, *shape, seed=seed + 2), covariances)


def law(prior, sigma=0.0):
    """The density of x + sigma eps according to torch."""
    noise = sigma**2 * torch.eye(prior.covariances.shape[1], dtype=torch.float64)
    components = MultivariateNormal(prior.means.flatten(1), prior.covariances + noise)
    return MixtureSameFamily(Categorical(prior.weights), components)


def grid(size, step, half_width=8.0):
    """Points (n, 1, 1, size) of a regular grid and the volume of a cell."""
    axis = torch.arange(-half_width, half_width + step / 2, step, dtype=torch.float64)
    points = torch.cartesian_prod(*[axis] * size).view(-1, 1, 1, size)
    return points, step**size


SIGMAS = [
    double(0.0),
    double(0.3),
    double(5.0),
    double([0.0, 0.01, 0.3, 1.0, 5.0, 80.0]),
]


@pytest.mark.parametrize("sigma", SIGMAS, ids=["0", "0.3", "5", "per row"])
def test_log_prob_agrees_with_torch_and_score_with_its_gradient(sigma):
    prior = mixture(4, (2, 2, 3))
    x = (sigma + 1).view(-1, 1, 1, 1) * normal(6, 2, 2, 3, seed=9)
    x.requires_grad_()
    log_prob = prior.log_prob(x, sigma)
    expected = torch.stack(
        [law(prior, s).log_prob(row.flatten()) for row, s in zip(x, sigma.expand(6), strict=True)]
    )
    # squared distances up to 1e3 in float64: rounding of 1e-13
    torch.testing.assert_close(log_prob, expected, rtol=0, atol=1e-10)
    (gradient,) = torch.autograd.grad(log_prob.sum(), x)
    torch.testing.assert_close(prior.score(x, sigma), gradient, rtol=0, atol=1e-10)
    denoised = x + sigma.view(-1, 1, 1, 1).square() * gradient
    torch.testing.assert_close(prior.denoise(x, sigma), denoised, rtol=1e-12, atol=1e-10)
    both = prior.log_prob_and_score(x, sigma)
    assert torch.equal(both[0], log_prob) and torch.equal(both[1], prior.score(x, sigma))


@pytest.mark.parametrize("sigma", SIGMAS, ids=["0", "0.3", "5", "per row"])
def test_derivative_of_the_score_agrees_with_automatic_differentiation(sigma):
    prior, x = mixture(4, (2, 2, 3)), normal(6, 2, 2, 3, seed=9).requires_grad_()
    direction = normal(6, 2, 2, 3, seed=10)
    (gradient,) = torch.autograd.grad(prior.log_prob(x, sigma).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad((gradient * direction).sum(), x)
    (found,) = torch.autograd.grad((prior.score(x, sigma) * direction).sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-9)  # entries up to 1e3
    _, vjp = torch.func.vjp(lambda v: prior.score(v, sigma), x.detach())
    torch.testing.assert_close(vjp(direction)[0], found)
    levels = sigma.expand(6)
    by_row = torch.func.vmap(
        torch.func.grad(lambda v, s, d: (prior.score(v[None], s)[0] * d).sum())
    )
    torch.testing.assert_close(by_row(x.detach(), levels, direction), found, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("size, step", [(1, 0.01), (2, 0.04)])
@pytest.mark.parametrize("sigma", [0.3, 1.5])
def test_denoiser_and_noisy_density_agree_with_quadrature(size, step, sigma):
    # The trapezoidal rule on a Gaussian of deviation d has error exp(-2 pi^2 d^2 / step^2): the narrowest integrand
    # has d = 0.2, so 1e-30 or less. 8 is 6.7 deviations or more away from each component: beyond it lies at most 2e-11
    # of one, and what x_t makes likely is narrower.
    prior = mixture(3, (1, 1, size))
    x_t = normal(5, 1, 1, size, seed=9)
    points, volume = grid(size, step)
    flat = points.flatten(1)
    prior_density = law(prior).log_prob(flat).exp()
    kernel = (-torch.cdist(x_t.flatten(1), flat).square() / (2 * sigma**2)).exp()
    joint = kernel / (2 * math.pi * sigma**2) ** (size / 2) * prior_density * volume
    expected = (joint @ flat / joint.sum(1, keepdim=True)).view_as(x_t)
    noise_level = double(sigma)
    torch.testing.assert_close(prior.denoise(x_t, noise_level), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(
        prior.log_prob(x_t, noise_level), joint.sum(1).log(), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("size, step", [(1, 0.01), (2, 0.04)])
def test_density_integrates_to_one(size, step):
    points, volume = grid(size, step)
    assert mixture(3, (1, 1, size)).log_prob(points).exp().sum() * volume == pytest.approx(
        1, abs=1e-10
    )


@pytest.mark.parametrize("sigma", [0.0, 0.02, 1.0, 50.0])
def test_one_noise_level_and_one_per_row_take_the_same_path(sigma):
    prior, x_t = mixture(4, (1, 3, 4)), (1 + sigma) * normal(6, 1, 3, 4, seed=9)
    scalar, rows = double(sigma), double([sigma] * 6)
    torch.testing.assert_close(
        prior.denoise(x_t, scalar), prior.denoise(x_t, rows), rtol=1e-12, atol=1e-10
    )
    torch.testing.assert_close(
        prior.log_joint(x_t, scalar), prior.log_joint(x_t, rows), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(prior.denoise(x_t, scalar[None]), prior.denoise(x_t, rows))
    alone = torch.cat([prior.denoise(x_t[i : i + 1], rows[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, prior.denoise(x_t, rows))


def test_limits_of_little_and_much_noise():
    prior, x = mixture(4, (1, 3, 4)), normal(6, 1, 3, 4, seed=9)
    assert torch.equal(prior.denoise(x, double(0.0)), x)
    assert torch.equal(prior.denoise(x, torch.zeros(6).double()), x)
    # E[x | x_t] = mean + C x_t / sigma^2 + ..., here 3 / sigma at most; rounding is 1e-16 sigma
    mean = torch.einsum("k,kcij->cij", prior.weights, prior.means)
    for sigma in (double(1e6), double([1e6] * 6)):
        torch.testing.assert_close(
            prior.denoise(1e6 * x, sigma), mean.expand_as(x), rtol=0, atol=2e-5
        )


def test_single_precision_is_close():
    prior, x_t = mixture(4, (1, 3, 4)), normal(6, 1, 3, 4, seed=9)
    single = GMM(prior.weights.float(), prior.means.float(), prior.covariances.float())
    for sigma in (double(0.05), double(1.0)):
        denoised = single.denoise(x_t.float(), sigma)
        assert denoised.dtype == torch.float32
        # distances of up to 1e2 are rounded to 1e-5, and so are the logarithms of the components' shares
        torch.testing.assert_close(denoised.double(), prior.denoise(x_t, sigma), rtol=0, atol=1e-3)


def test_prior_draws_have_the_moments_and_shares_of_the_mixture():
    prior, n = mixture(3, (1, 2, 2)), 20_000
    draws = prior.sample(n // 2, Rng(("draws",), (0, 1)))
    assert draws.shape == (2, n // 2, 1, 2, 2)
    x = draws.flatten(0, 1)
    check_moments(prior, x)
    shares = prior.log_joint(x).softmax(1)  # whose expectation is the weights
    assert ((shares.mean(0) - prior.weights).abs() < 5 * shares.std(0) / n**0.5).all()


def check_moments(prior, x, bias=0.0):
    """Mean and covariance of independent x (n, *x) within five standard errors, and a bias known beforehand."""
    flat = x.flatten(1)
    mean = prior.weights @ prior.means.flatten(1)
    centred = prior.means.flatten(1) - mean
    covariance = torch.einsum(
        "k,kij->ij", prior.weights, prior.covariances + centred[:, :, None] * centred[:, None]
    )
    products = (flat - mean)[:, :, None] * (flat - mean)[:, None]
    assert ((flat.mean(0) - mean).abs() < 5 * flat.std(0) / len(x) ** 0.5 + bias).all()
    assert (
        (products.mean(0) - covariance).abs() < 5 * products.std(0) / len(x) ** 0.5 + bias
    ).all()


def test_prior_draws_do_not_depend_on_batch_or_chunk():
    prior = mixture(3, (1, 2, 2))
    whole = prior.sample(1, Rng(("draws",), (4, 5), range(6)).per_sample.flat).unflatten(0, (2, 6))
    part = prior.sample(1, Rng(("draws",), (5,), range(3, 5)).per_sample.flat)
    torch.testing.assert_close(part, whole[1, 3:5], rtol=0, atol=1e-14)


# ---- the probability-flow ODE


def test_the_decoder_of_one_gaussian_is_affine_for_any_steps():
    # In the whitened state the velocity is zero, so start and end of the grid leave no trace: x = mu + C^(1/2) z
    prior, z = mixture(1, (1, 2, 3)), normal(50, 1, 2, 3, seed=9)
    values, vectors = torch.linalg.eigh(prior.covariances[0])
    root = vectors @ values.sqrt().diag() @ vectors.T
    expected = (prior.means.flatten() + z.flatten(1) @ root).view_as(z)
    for num_ode_steps, sigma_max in ((1, 10.0), (10, 0.1), (10, 1000.0)):
        decoded = dataclasses.replace(
            prior, num_ode_steps=num_ode_steps, sigma_max=sigma_max
        ).decode(z)
        # velocities are rounded to 1e-16 and the steps in sigma^2 are 1e6 long at most
        torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-10)


def test_decoder_in_one_dimension_maps_quantiles_to_quantiles():
    """The flow cannot cross itself: on the line it is x = F^-1(Phi(z)), F the mixture's distribution function."""
    prior, z = (
        mixture(3, (1, 1, 1)),
        torch.linspace(-3, 3, 41, dtype=torch.float64).view(-1, 1, 1, 1),
    )

    def error(num_ode_steps, sigma_max):
        x = dataclasses.replace(prior, num_ode_steps=num_ode_steps, sigma_max=sigma_max).decode(z)
        scores = (x.view(-1, 1) - prior.means.view(1, -1)) / prior.covariances.view(1, -1).sqrt()
        return (
            (torch.special.ndtr(scores) @ prior.weights - torch.special.ndtr(z.flatten()))
            .abs()
            .max()
            .item()
        )

    # At the start u has third cumulant kappa / sigma_max^3 with kappa of order 1, which is an error of the distribution
    # function of at most 0.07 kappa / sigma_max^3 (Edgeworth: |He_2 phi| / 6)
    assert error(200, 10.0) < 1e-3
    assert error(200, 40.0) < 2e-5
    assert error(10, 10.0) < 5e-3


def test_decoder_has_order_four():
    prior, z = mixture(3, (1, 1, 2)), normal(200, 1, 1, 2, seed=9)

    def decoded(num_ode_steps):
        return dataclasses.replace(prior, num_ode_steps=num_ode_steps).decode(z)

    fine = decoded(640)
    errors = [(decoded(n) - fine).square().mean().sqrt().item() for n in (40, 80, 160)]
    # 4 in the limit; the fine integrator itself has (1/4)^4 = 0.4 % of the last error
    orders = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    assert orders == pytest.approx([4, 4], abs=0.3)


@pytest.fixture(scope="module")
def small_digits():
    return fit_gmm(
        Digits().load()["train"], num_components=10, shrinkage=30, floor=0.002, num_iterations=10
    )


def test_decoder_is_close_to_a_fine_integrator_on_the_digits(small_digits):
    z = normal(64, 1, 8, 8, seed=9)
    # its own error is (1/10)^4 of the other's
    fine = dataclasses.replace(small_digits, num_ode_steps=100).decode(z)
    far = dataclasses.replace(small_digits, num_ode_steps=120, sigma_max=80.0).decode(z)
    # what the prior's card promises
    assert (small_digits.decode(z) - fine).square().mean().sqrt() < 5e-3
    assert (far - fine).square().mean().sqrt() < 5e-3  # sigma_max is high enough


def test_decoded_noise_has_the_moments_of_the_mixture():
    prior = dataclasses.replace(mixture(3, (1, 1, 2)), num_ode_steps=20)
    x = prior.decode(normal(20_000, 1, 1, 2, seed=9))
    # third cumulants of order 1 over sigma_max^3, and the integrator's error
    check_moments(prior, x, bias=2e-3)
    shares = prior.log_joint(x).softmax(1)
    assert ((shares.mean(0) - prior.weights).abs() < 5 * shares.std(0) / 20_000**0.5 + 2e-3).all()


def test_gradient_of_the_decoder_agrees_with_finite_differences():
    prior = dataclasses.replace(mixture(3, (1, 1, 2)), num_ode_steps=5)
    z = normal(3, 1, 1, 2, seed=9).requires_grad_()
    assert torch.autograd.gradcheck(prior.decode, (z,), eps=1e-6, atol=1e-7)


def test_the_decoder_costs_as_stated(monkeypatch):
    prior, z, rows = (
        dataclasses.replace(mixture(3, (1, 1, 2)), num_ode_steps=7),
        normal(5, 1, 1, 2),
        [],
    )
    evaluate = Score.apply

    def counted(x, *noise_and_mixture):
        rows.append(len(x))
        return evaluate(x, *noise_and_mixture)

    monkeypatch.setattr(Score, "apply", counted)
    prior.decode(z)
    assert sum(rows) / len(z) == prior.decode_nfe == 28


def test_capabilities_and_shapes():
    prior = mixture(2, (3, 2, 4))
    assert prior.caps == Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    assert prior.shape == prior.latent_shape == (3, 2, 4)
    assert prior.decode(normal(5, 3, 2, 4)).shape == (5, 3, 2, 4)


# ---- the fit


def test_fit_recovers_a_mixture_from_its_draws():
    covariances = double([[[0.05, 0.03], [0.03, 0.05]], [[0.02, 0.0], [0.0, 0.08]]])
    means = double([[-1.0, 0.0], [1.0, 0.5]]).view(2, 1, 1, 2)
    truth, n = GMM(double([0.3, 0.7]), means, covariances), 4000
    x = truth.sample(n, Rng(("fit",), (0,)))[0]
    fitted = fit_gmm(x, num_components=2, shrinkage=0, floor=0, num_iterations=20)
    order = fitted.means[:, 0, 0, 0].argsort()
    # the components are seven deviations apart, so each is as good as fitted alone: 1200 and 2800 draws
    assert fitted.weights[order][0] == pytest.approx(0.3, abs=5 * (0.21 / n) ** 0.5)
    torch.testing.assert_close(fitted.means[order], means, rtol=0, atol=5 * (0.08 / 1200) ** 0.5)
    torch.testing.assert_close(
        fitted.covariances[order], covariances, rtol=0, atol=5 * 0.08 * (2 / 1200) ** 0.5
    )


def test_each_iteration_of_the_fit_raises_the_likelihood():
    x = mixture(4, (1, 1, 2)).sample(500, Rng(("fit",), (0,)))[0]
    fits = [fit_gmm(x, 3, shrinkage=0, floor=0, num_iterations=n) for n in (1, 2, 5, 20)]
    likelihoods = [fitted.log_prob(x).mean().item() for fitted in fits]
    assert likelihoods == sorted(likelihoods)


def test_shrinkage_and_floor_keep_covariances_well_conditioned(small_digits):
    # the digits have pixels that never change: without a floor their variance would be that of the rounding alone
    spectrum = torch.linalg.eigvalsh(small_digits.covariances)
    assert spectrum.min() >= 0.002 - 1e-12
    assert small_digits.weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("call", ["denoise", "score", "log_prob", "decode"])
def test_tensors_of_another_dtype_are_refused_in_one_line(call):
    prior, x = mixture(2, (1, 2, 2)), normal(3, 1, 2, 2).float()
    more = (torch.tensor(0.5),) if call in ("denoise", "score") else ()
    words = f"prior.{call}: got a tensor of torch.float32, expected torch.float64.*pass x.to"
    with pytest.raises(ValueError, match=words):
        getattr(prior, call)(x, *more)
