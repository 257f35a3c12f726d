"""Measurement operators and the problem around them, against independent closed forms."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bench.core.registry import build, load, names
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.problems import make_problem

PARAMETERS = {
    "denoise": {},
    "inpaint-box": {"box": 4},
    "inpaint-random": {"visible_fraction": 0.3},
    "average-pool": {"factor": 2},
    "blur": {"kernel_size": 5, "std": 1.0},
    "saturate": {"gain": 2.0},
    "phase": {"oversample": 2.0},
    "inpaint-random-box": {"box": 4, "margin": 1},
    "bicubic": {"factor": 2},
    "motion-blur": {"kernel_size": 5},
    "exposure-blur": {"kernel_size": 5},
    "colourise": {},
    "jpeg": {"quality": 20},
    "fourier": {"acceleration": 2.0, "centre_fraction": 0.2},
}
OF_MESHES = {"hemisphere", "stations", "sphere_blur"}  # test_sphere_operators.py
OPERATORS = list(PARAMETERS)
LINEAR = [name for name in OPERATORS if load("operator", name).linear]
SMOOTH = [name for name in OPERATORS if getattr(load("operator", name), "differentiable", True)]
SHAPES = [(1, 8, 8), (3, 16, 12)]
COLOURED = {"colourise": (3, 8, 8)}  # instead of the one-channel shape


def test_every_operator_of_the_project_is_tested_here():
    assert {name.replace("-", "_") for name in PARAMETERS} == set(names("operator")) - OF_MESHES


def problem_and_rows(name, x_shape, num_rows=6, sigma_y=0.1):
    """A problem with rows x in the range of images and their simulated y, float64."""
    x_shape = x_shape if x_shape[0] == 3 else COLOURED.get(name, x_shape)
    problem = make_problem(name, PARAMETERS[name], sigma_y, x_shape)
    rng = Rng(("test", name), range(num_rows))
    x = 2 * rng.rand(x_shape) - 1
    return problem, x, problem.simulate(x, rng)


@pytest.mark.parametrize("x_shape", SHAPES)
@pytest.mark.parametrize("name", LINEAR)
def test_adjoint_passes_the_dot_test(name, x_shape):
    problem, x, y = problem_and_rows(name, x_shape)
    a_x = problem.operator(x, y)
    v = torch.randn(a_x.shape, dtype=a_x.dtype, generator=torch.Generator().manual_seed(0))
    left = (a_x * v).flatten(1).sum(1)
    right = (x * problem.operator.adjoint(v, y)).flatten(1).sum(1)
    # Rounding is relative to the norms of the factors: up to 576 terms x 1e-16, far below 1e-12.
    scale = a_x.flatten(1).norm(dim=1) * v.flatten(1).norm(dim=1)
    assert ((left - right).abs() <= 1e-12 * scale).all()


@pytest.mark.parametrize("x_shape", SHAPES)
@pytest.mark.parametrize("name", OPERATORS)
def test_shapes_dtypes_devices_and_rows(name, x_shape):
    """Shapes are as promised, dtype and device stay, and a row alone gives what it gives among others."""
    problem, x, y = problem_and_rows(name, x_shape)
    assert y.shape == (6, *problem.y_shape)
    residual = problem.residual(x, y)
    assert residual.shape == (6, *problem.operator.measured_shape(tuple(x.shape[1:])))
    assert problem.residual(x.float(), y.float()).dtype == torch.float32
    # any mixing of devices would raise; what is not differentiable may be computed elsewhere
    assert name not in SMOOTH or problem.residual(x.to("meta"), y.to("meta")).device.type == "meta"
    alone = torch.cat([problem.residual(x[i : i + 1], y[i : i + 1]) for i in range(6)])
    # sums of at most 432 terms below 1 in float64
    torch.testing.assert_close(alone, residual, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", SMOOTH)
def test_residual_and_likelihood(name):
    """The gradient is that of finite differences; the log-likelihood is half the misfit per variance, negative."""
    x_shape = {"inpaint-box": (2, 6, 6), "inpaint-random-box": (2, 6, 6), "colourise": (3, 4, 4)}
    x_shape |= dict.fromkeys(("motion-blur", "exposure-blur"), (2, 6, 5))
    problem, x, y = problem_and_rows(name, x_shape.get(name, (2, 4, 6)), num_rows=2)
    assert torch.autograd.gradcheck(lambda x: problem.residual(x, y), x.requires_grad_())
    expected = -0.5 * (problem.residual(x, y) / 0.1).flatten(1).norm(dim=1) ** 2
    torch.testing.assert_close(problem.log_likelihood(x, y), expected)


def test_average_pool_takes_block_means():
    operator = build("operator", "average-pool", {"factor": 4})
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 12))
    blocks = x.reshape(2, 3, 2, 4, 3, 4).mean((3, 5))
    np.testing.assert_allclose(operator(torch.from_numpy(x), torch.empty(2)), blocks, atol=1e-14)


def test_blur_is_scipys_gaussian_filter():
    """scipy calls reflection without repeating the edge pixel `mirror`; radius 2 is a kernel of 5."""
    operator = build("operator", "blur", {"kernel_size": 5, "std": 1.3})
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 12))
    expected = ndimage.gaussian_filter(x, (0, 0, 1.3, 1.3), mode="mirror", radius=(0, 0, 2, 2))
    np.testing.assert_allclose(operator(torch.from_numpy(x), torch.empty(2)), expected, atol=1e-14)
    by_kernel = ndimage.correlate(x[0, 0], operator.kernel().numpy(), mode="mirror")
    np.testing.assert_allclose(by_kernel, expected[0, 0], atol=1e-14)


def test_saturate_clips():
    operator = build("operator", "saturate", {"gain": 2.0})
    x = torch.tensor([-0.9, -0.25, 0.4, 0.6])
    assert operator(x, torch.empty(0)).tolist() == pytest.approx([-1.0, -0.5, 0.8, 1.0])


def test_phase_is_numpys_centred_transform():
    operator = build("operator", "phase", {"oversample": 2.0})
    x = np.random.default_rng(0).standard_normal((8, 16))
    padded = np.pad(x, ((2, 2), (4, 4)))
    expected = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(padded), norm="ortho")))
    np.testing.assert_allclose(
        operator(torch.from_numpy(x)[None, None], torch.empty(1))[0, 0], expected, atol=1e-13
    )


def test_phase_does_not_see_sign_or_half_turns():
    operator = build("operator", "phase", {"oversample": 2.0})
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    amplitude = operator(x, x)
    # Fourier sums of 64 terms of size 1, float64: rounding of order 1e-15.
    torch.testing.assert_close(operator(-x, x), amplitude, rtol=0, atol=1e-13)
    torch.testing.assert_close(operator(x.flip(-1, -2), x), amplitude, rtol=0, atol=1e-13)
    # Parseval: padding adds no energy
    torch.testing.assert_close(amplitude.square().sum(), x.square().sum())


def test_phase_has_a_gradient_at_amplitude_zero():
    operator = build("operator", "phase", {"oversample": 2.0})
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    operator(x, x).sum().backward()
    assert x.grad.abs().max() == 0


@pytest.mark.parametrize("fraction", [0.1, 0.3, 1.0])
def test_random_masks_have_exact_counts(fraction):
    """round(fraction x 96) pixels, the same in each channel, different between rows, anywhere equally often."""
    problem = make_problem("inpaint-random", {"visible_fraction": fraction}, 0.1, (3, 8, 12))
    y = problem.simulate(torch.zeros(400, 3, 8, 12), Rng(("mask",), range(20)))
    values, mask = problem.unpack(y)
    assert problem.num_measured_values(y).tolist() == [3 * round(fraction * 96)] * 400
    assert mask[:, :1].expand_as(mask).equal(mask) and not values[mask == 0].any()
    # 400 masks: a pixel's frequency deviates by at most 0.025 (one standard deviation); five of them over 96 pixels.
    assert (mask[:, 0].mean(0) - fraction).abs().max() < 0.125


def test_box_mask_is_centred():
    problem = make_problem("inpaint-box", {"box": 4}, 0.1, (1, 8, 8))
    _, mask = problem.unpack(problem.simulate(torch.zeros(1, 1, 8, 8), Rng((), [0])))
    expected = torch.ones(8, 8)
    expected[2:6, 2:6] = 0
    assert mask[0, 0].equal(expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_simulated_noise_has_level_sigma_y(name):
    problem, x, _ = problem_and_rows(name, (1, 8, 8), num_rows=100, sigma_y=0.3)
    y = problem.simulate(x, Rng(("noise",), range(50)))
    num_measured_values = problem.num_measured_values(y).sum()
    chi_square = -2 * problem.log_likelihood(x, y).sum()
    # A chi-square of n degrees has standard deviation sqrt(2 n): four of them.
    assert abs(chi_square - num_measured_values) < 4 * (2 * num_measured_values) ** 0.5


def test_simulate_gives_each_measurement_its_stream():
    """Rows i k + j belong to stream i: measurement 1 alone has the same values as with 0 and 2."""
    problem, x, _ = problem_and_rows("inpaint-random", (1, 8, 8), num_rows=12)
    together = problem.simulate(x, Rng(("s",), [0, 1, 2]))
    assert problem.simulate(x[4:8], Rng(("s",), [1])).equal(together[4:8])
    with pytest.raises(ValueError, match="12 rows .* 5 random streams"):
        problem.simulate(x, Rng(("s",), range(5)))


def test_the_residual_ignores_values_that_were_not_measured():
    problem, x, y = problem_and_rows("inpaint-box", (1, 8, 8))
    spoiled = y.clone()
    spoiled[:, 0, 2:6, 2:6] = 7.0
    assert problem.residual(x, spoiled).equal(problem.residual(x, y))


@pytest.mark.parametrize("name", OPERATORS)
def test_caps(name):
    x_shape = COLOURED.get(name, (1, 8, 8))
    problem = make_problem(name, PARAMETERS[name], 0.1, x_shape, posterior=object())
    assert Cap.RESIDUAL | Cap.SIMULATE | Cap.EXACT in problem.caps
    assert (Cap.LINEAR in problem.caps) == (name in LINEAR)
    assert (Cap.GRAD in problem.caps) == (name in SMOOTH)
    assert (Cap.SPECTRUM in problem.caps) == (name in LINEAR and name != "motion-blur")
    assert Cap.EXACT not in make_problem(name, PARAMETERS[name], 0.1, x_shape).caps


@pytest.mark.parametrize(
    ("name", "parameters", "sigma_y", "words"),
    [
        ("haze", {}, 0.1, "no operator haze .*expected one of average_pool, bicubic, blur,"),
        ("blur", {"kernel_size": 5, "sdt": 1.0}, 0.1, "blur: .*'std'|'sdt'"),
        ("blur", {"kernel_size": 4, "std": 1.0}, 0.1, "odd integer, got 4"),
        ("blur", {"kernel_size": 61, "std": 3.0}, 0.1, "61 pixels .* 8 x 8"),
        ("average-pool", {"factor": 3}, 0.1, "3 does not divide an image of 8 x 8"),
        ("inpaint-box", {"box": 8}, 0.1, "leaves nothing"),
        ("inpaint-random", {"visible_fraction": 1.5}, 0.1, "got 1.5"),
        ("inpaint-random", {"visible_fraction": 0.001}, 0.1, "sees no pixel"),
        ("saturate", {"gain": -1.0}, 0.1, "gain must be positive"),
        ("phase", {"oversample": "2"}, 0.1, "oversample must be positive"),
        ("denoise", {}, 0.0, "sigma_y must be a positive"),
        ("inpaint-random-box", {"box": 7, "margin": 1}, 0.1, "7 and margin 1 leave no place in"),
        ("inpaint-random-box", {"box": 8}, 0.1, "leave no place"),
        ("bicubic", {"factor": 3}, 0.1, "3 does not divide an image of 8 x 8"),
        ("motion-blur", {"kernel_size": 4}, 0.1, "motion-blur: .* odd integer, 3 or more, got 4"),
        ("motion-blur", {"kernel_size": 9}, 0.1, "9 pixels is larger than an image of 8 x 8"),
        ("exposure-blur", {"kernel_size": 5, "intensity": -1}, 0.1, "intensity must be a number"),
        ("exposure-blur", {"kernel_size": 5, "stops": 0}, 0.1, "stops must be positive"),
        ("colourise", {}, 0.1, "expected images of 3 channels, got 1"),
        ("colourise", {"grey": "sum"}, 0.1, "grey must be mean or luma, got 'sum'"),
        ("jpeg", {"quality": 101}, 0.1, "from 1 to 100, got 101"),
        ("fourier", {"acceleration": 0.5}, 0.1, "acceleration must be 1 or more"),
        ("fourier", {"acceleration": 8, "centre_fraction": 0.3}, 0.1, "measures 1 lines .* the 2"),
    ],
)
def test_mistakes_are_named(name, parameters, sigma_y, words):
    with pytest.raises(ValueError, match=words):
        make_problem(name, parameters, sigma_y, (1, 8, 8))
