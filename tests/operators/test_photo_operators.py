"""The operators of the papers on photographs, against independent dense computations and known formulas."""

import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from bench.core.packed import kernel_of, mask_of
from bench.core.registry import build
from bench.core.rng import Rng
from bench.problems import make_problem

X_SHAPE = (3, 16, 12)


def rows_of(name, parameters, x_shape=X_SHAPE, num_rows=4, sigma_y=0.1):
    """A problem, images in [-1, 1] and simulated measurements, float64."""
    problem, rng = (
        make_problem(name, parameters, sigma_y, x_shape),
        Rng(("t", name), range(num_rows)),
    )
    x = 2 * rng.rand(x_shape) - 1
    return problem, x, problem.simulate(x, rng)


def imresize_1d(x, factor):
    """Return MATLAB's imresize of a vector by 1 / factor: counted from 1, output by output, weight by weight."""
    result = np.zeros(len(x) // factor)
    for i in range(1, len(result) + 1):
        centre = i * factor + 0.5 * (1 - factor)
        total = 0.0
        for j in range(math.floor(centre - 2 * factor), math.ceil(centre + 2 * factor) + 1):
            t = abs(centre - j) / factor
            if t <= 1:
                weight = 1.5 * t**3 - 2.5 * t**2 + 1
            else:
                weight = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0.0
            mirrored = [*range(len(x)), *reversed(range(len(x)))]
            result[i - 1] += weight * x[mirrored[(j - 1) % (2 * len(x))]]
            total += weight
        result[i - 1] /= total
    return result


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_is_imresize(factor):
    x = np.random.default_rng(0).standard_normal((1, 1, 16, 12))
    expected = np.apply_along_axis(imresize_1d, 2, x, factor)
    expected = np.apply_along_axis(imresize_1d, 3, expected, factor)
    operator = build("operator", "bicubic", {"factor": factor})
    np.testing.assert_allclose(operator(torch.from_numpy(x)), expected, atol=1e-14)


def test_bicubic_is_torchs_away_from_the_borders():
    """torch and Pillow cut the kernel off at the border, where this one reflects."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 48, 48)))
    expected = F.interpolate(x, (12, 12), mode="bicubic", antialias=True, align_corners=False)
    actual = build("operator", "bicubic", {"factor": 4})(x)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(actual[inside], expected[inside], rtol=0, atol=1e-13)
    assert (actual - expected).abs().max() > 0.01
    flat = build("operator", "bicubic", {"factor": 8})(torch.full((1, 1, 16, 16), 0.3))
    torch.testing.assert_close(flat, torch.full((1, 1, 2, 2), 0.3))


def test_a_random_box_lies_everywhere_equally_often():
    problem = make_problem("inpaint-random-box", {"box": 4, "margin": 1}, 0.1, (2, 9, 8))
    y = problem.simulate(torch.zeros(1200, 2, 9, 8), Rng(("box",), range(40)))
    hidden = mask_of(y) == 0
    assert hidden[:, :1].expand_as(hidden).equal(hidden)
    tops = hidden[:, 0].any(2).int().argmax(1)
    lefts = hidden[:, 0].any(1).int().argmax(1)
    expected = torch.zeros(1200, 9, 8, dtype=torch.bool)
    for row, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        expected[row, top : top + 4, left : left + 4] = True
    assert hidden[:, 0].equal(expected)
    counts = torch.stack(
        [(tops == top) & (lefts == left) for top in range(1, 5) for left in (1, 2, 3)]
    )
    assert counts.sum() == 1200  # in none but these twelve places
    # 100 in each on average, with standard deviation 9.6: four and a half of them
    assert (counts.sum(1) - 100).abs().max() < 43


@pytest.mark.parametrize("intensity", [0.0, 0.5, 2.0])
def test_kernels_of_camera_shake(intensity):
    """They are non-negative, sum to one, are centred, fill their window and turn as much as `intensity` says."""
    operator = build("operator", "motion-blur", {"kernel_size": 9, "intensity": intensity})
    uniform = Rng(("kernels",), range(50)).rand((operator.num_uniform,))
    kernels = operator.draw_kernel(uniform)
    assert kernels.shape == (50, 9, 9) and kernels.min() >= 0
    place = torch.arange(9) - 4.0
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(50, dtype=kernels.dtype))
    for axis in (1, 2):
        centre = (kernels.sum(3 - axis) * place).sum(1)
        assert centre.abs().max() < 1e-12
    border = torch.stack([kernels[:, 0], kernels[:, -1], kernels[:, :, 0], kernels[:, :, -1]])
    assert (border.sum(2).amax(0) > 0).all()
    assert operator.draw_kernel(uniform.float()).sub(kernels).abs().max() < 1e-4
    second = (kernels[:, :, :, None] * torch.cartesian_prod(place, place).view(9, 9, 2)).flatten(
        1, 2
    )
    spread = torch.linalg.svdvals(second.mT @ torch.cartesian_prod(place, place).double())
    # a line is as thin as its pixels; a path that turns is not
    assert (spread[:, 1].mean() < 0.25) == (intensity == 0.0)


def test_motion_blur_correlates_each_row_with_its_own_kernel():
    problem, x, y = rows_of("motion-blur", {"kernel_size": 7})
    kernels = kernel_of(y, 7)
    blurred = problem.operator(x, y)
    for i in range(len(x)):
        for channel in range(3):
            # scipy calls reflection without repeating the edge pixel `mirror`
            expected = ndimage.correlate(x[i, channel].numpy(), kernels[i].numpy(), mode="mirror")
            np.testing.assert_allclose(blurred[i, channel], expected, atol=1e-14)
    values, mask = problem.unpack(y)
    assert y.shape == (4, 4, 16, 12) and values.shape == x.shape and mask is None
    assert not y[:, 3, 7:].any() and not y[:, 3, :, 7:].any()


def test_exposure_blur_blurs_light():
    parameters = {"kernel_size": 5, "stops": 4.0}
    problem, x, y = rows_of("exposure-blur", parameters)
    light = 2 ** (4.0 * (x + 1) / 2)
    kernels = kernel_of(y, 5).numpy()
    seen = [
        [ndimage.correlate(c, k, mode="mirror") for c in image]
        for image, k in zip(light.numpy(), kernels, strict=True)
    ]
    expected = 2 * np.log2(np.array(seen)) / 4.0 - 1
    np.testing.assert_allclose(problem.operator(x, y), expected, atol=1e-13)
    assert (
        problem.operator(x, y).ge(build("operator", "motion-blur", {"kernel_size": 5})(x, y)).all()
    )


def test_exposure_blur_has_finite_values_and_gradients_far_outside_the_range_of_images():
    problem, x, y = rows_of("exposure-blur", {"kernel_size": 5})
    wild = (100 * x).float().requires_grad_()
    value = problem.operator(wild, y.float())
    (gradient,) = torch.autograd.grad(value.sum(), wild)
    assert value.isfinite().all() and gradient.isfinite().all()
    nearly_linear = build("operator", "exposure-blur", {"kernel_size": 5, "stops": 1e-4})(x, y)
    linear = build("operator", "motion-blur", {"kernel_size": 5})(x, y)
    torch.testing.assert_close(nearly_linear, linear, rtol=0, atol=1e-4)


def test_colourise_takes_the_mean_or_the_luma_of_pillow():
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8)))
    mean = build("operator", "colourise", {})(levels.double())
    torch.testing.assert_close(mean, levels.double().mean(1, keepdim=True))
    luma = build("operator", "colourise", {"grey": "luma"})(levels.double())
    image = Image.fromarray(levels[0].permute(1, 2, 0).numpy().astype(np.uint8)).convert("L")
    assert np.abs(luma[0, 0].numpy() - np.asarray(image)).max() <= 1  # Pillow rounds


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_equals_a_decoded_file_of_that_quality(channels):
    operator = build("operator", "jpeg", {"quality": 30})
    ramp = torch.linspace(-1, 1, 24, dtype=torch.float64).expand(2, channels, 20, 24)
    image = (ramp + 0.2 * Rng(("jpeg",), range(2)).randn((channels, 20, 24))).clamp(-1, 1)
    seen = operator(image)
    assert seen.equal(operator(image)) and seen.abs().max() <= 1
    bytes_of = np.rint(127.5 * (image[1].numpy() + 1)).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(bytes_of.squeeze()).save(file, "JPEG", quality=30, subsampling="4:2:0")
    expected = np.asarray(Image.open(file)).reshape(20, 24, channels).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(seen[1], expected, atol=1e-12)
    errors = [
        (build("operator", "jpeg", {"quality": quality})(image) - image).square().mean()
        for quality in (5, 30, 95)
    ]
    assert errors[0] > errors[1] > errors[2] > 0
    assert operator(3 * image).equal(operator((3 * image).clamp(-1, 1)))
    assert operator(image[:0]).shape == (0, channels, 20, 24)


def test_fourier_is_numpys_transform_on_lines_of_its_own():
    problem, x, y = rows_of("fourier", {"acceleration": 3.0, "centre_fraction": 0.2}, num_rows=30)
    mask = mask_of(y)
    expected = np.fft.fftshift(np.fft.fft2(x.numpy(), norm="ortho"), (-2, -1))
    expected = np.concatenate([expected.real, expected.imag], axis=1) * mask.numpy()
    np.testing.assert_allclose(problem.operator(x, y), expected, atol=1e-13)
    lines = mask[:, 0, 0]
    assert mask.equal(lines[:, None, None].expand_as(mask))
    assert (lines.sum(1) == 4).all() and lines[:, 5:7].all()  # of twelve, two around frequency zero
    assert len(lines.unique(dim=0)) > 10
    complete = build("operator", "fourier", {"acceleration": 1.0, "centre_fraction": 1.0})
    problem = make_problem("fourier", {"acceleration": 1.0, "centre_fraction": 1.0}, 0.1, X_SHAPE)
    y = problem.simulate(x, Rng(("all",), range(30)))
    torch.testing.assert_close(complete.adjoint(complete(x, y), y), x, rtol=0, atol=1e-13)


def test_mirrored_lines_of_fourier_measure_the_same_of_real_images():
    """Singular values are 1 where both of two mirrored lines are measured, root 1/2 where one is, and else 0."""
    problem, x, y = rows_of("fourier", {"acceleration": 2.0, "centre_fraction": 0.2}, num_rows=3)
    matrix = dense(problem, y[:1])
    expected = torch.linalg.svdvals(matrix).square()
    values = problem.operator.spectrum(y[:1], X_SHAPE).values.flatten().square()
    ordered = values.sort(descending=True).values[: len(expected)]
    torch.testing.assert_close(ordered, expected, rtol=0, atol=1e-12)
    assert {round(value, 9) for value in values.tolist()} == {0.0, 0.5, 1.0}


def dense(problem, y):
    """The matrix of a linear operator for one measurement."""
    size = math.prod(problem.x_shape)
    basis = torch.eye(size, dtype=y.dtype).unflatten(1, problem.x_shape)
    return problem.operator(basis, y.expand(size, *y.shape[1:])).flatten(1).mT


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bicubic", {"factor": 4}),
        ("average-pool", {"factor": 4}),
        ("blur", {"kernel_size": 5, "std": 1.0}),
        ("colourise", {"grey": "luma"}),
        ("inpaint-random-box", {"box": 4}),
    ],
)
def test_spectra_are_those_of_the_dense_matrix(name, parameters):
    problem, x, y = rows_of(name, parameters, (3, 8, 8))
    spectrum = problem.operator.spectrum(y, (3, 8, 8))
    values = spectrum.values[0].flatten().sort(descending=True).values
    expected = torch.linalg.svdvals(dense(problem, y[:1]))
    torch.testing.assert_close(values[: len(expected)], expected, rtol=0, atol=1e-12)
    assert not values[len(expected) :].any()
    # the equations of a method: what A^T y says of each coordinate, and the regularised inverse
    z = spectrum.coordinates(x)
    seen = spectrum.coordinates(problem.operator.adjoint(problem.operator(x, y), y))
    torch.testing.assert_close(seen, spectrum.values**2 * z, rtol=0, atol=1e-12)
    assert spectrum.image(z.float().double()).dtype == torch.float64
