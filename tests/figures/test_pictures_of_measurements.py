"""Every operator's measurements can be drawn, in the grid and on the page, in colour and in grey."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from bench.core.registry import load, names
from bench.core.results import REFERENCE_DRAWS, SampleSet, TaskSamples
from bench.figures._pictures import UNMEASURED, Picture, coloured, largest_spread, pictures
from bench.figures.grid import Grid
from bench.problems.inverse_problem import InverseProblem
from bench.report.page.gallery import gallery_of
from bench.stages.observe import measure

SHAPES = {"grey": (1, 16, 12), "colours": (3, 16, 16)}


def seen_through(name, x_shape):
    """What the file of three measurements holds, or None where images of that shape cannot be measured."""
    cls = load("operator", name)
    try:
        problem = InverseProblem(cls(**getattr(cls, "tiny", {})), 0.1, x_shape)
    except ValueError:
        return None
    x = 2 * torch.rand((3, *x_shape), generator=torch.Generator().manual_seed(0)) - 1
    return {key: value.numpy() for key, value in measure(problem, "t", x, torch.arange(3)).items()}


@pytest.mark.parametrize("colour", SHAPES)
@pytest.mark.parametrize("name", names("operator"))
def test_measurements_can_be_drawn(name, colour):
    seen = seen_through(name, SHAPES[colour])
    if seen is None:
        pytest.skip("not for such images")
    samples = [SampleSet("exact", seen["x_true"][:, None].repeat(4, 1))]
    y = pictures(0, seen, samples, 2)[0]
    shown = coloured(y, 1.0)
    assert shown.shape == (*y.image.shape[1:], 3) and shown.min() >= 0 and shown.max() <= 1
    low, high = y.window
    assert high > low
    page = gallery_of(seen, samples, {})
    assert tuple(page["y"]) == y.image.shape[1:] and page["x"] == SHAPES[colour][1:]


def test_a_fourier_measurement_is_shown_as_the_image_of_its_measured_lines():
    seen = seen_through("fourier", (1, 16, 12))
    assert seen["y"].shape == (3, 2, 16, 12) and seen["picture"].shape == (3, 1, 16, 12)
    shown = pictures(0, seen, [], 1)[0].image
    np.testing.assert_array_equal(shown, seen["picture"][0].astype(float))
    assert np.abs(shown - seen["x_true"][0]).mean() < 0.5


def test_the_grid_draws_small_and_complex_measurements():
    for name in ("bicubic", "fourier", "colourise"):
        seen = seen_through(name, (3, 16, 16))
        drawing = Grid().draw(
            TaskSamples("t", seen, [SampleSet("exact", seen["x_true"][:, None].repeat(4, 1))])
        )
        assert drawing.csv


@pytest.mark.parametrize(
    ("scale", "channels", "as_image"), [(1, 3, True), (2, 3, False), (1, 1, False)]
)
def test_a_measurement_that_is_a_colour_image_is_shown_as_images_are(scale, channels, as_image):
    y = scale * (2 * torch.rand((channels, 8, 8), generator=torch.Generator().manual_seed(0)) - 1)
    window = Picture("measurement", 0, "y", 0.5 * y.numpy() if as_image else y.numpy()).window
    assert (window == (-1.0, 1.0)) == as_image


@pytest.mark.parametrize("channels", [1, 3])
def test_unmeasured_pixels_are_blue_in_grey_and_in_colour(channels):
    y = np.zeros((channels, 4, 4))
    y[:, 1:3, 1:3] = np.nan
    shown = coloured(Picture("measurement", 0, "y", y), 1.0)
    np.testing.assert_allclose(shown[1, 1], to_rgb(UNMEASURED), atol=1e-6)
    assert np.ptp(shown[0, 0]) < 1e-6  # grey


def test_a_row_that_diverged_does_not_leave_the_others_dark():
    def std(source, value):
        return Picture(source, 1, "std", np.full((3, 4, 4), value))

    assert largest_spread(
        [std(REFERENCE_DRAWS, 0.2), std("a", 0.3), std("b", 24.0)]
    ) == pytest.approx(0.4)
    assert largest_spread([std(REFERENCE_DRAWS, 0.2), std("a", 0.3)]) == pytest.approx(0.3)
    # without reference draws nothing is known of the posterior
    assert largest_spread([std("a", 0.3), std("b", 24.0)]) == 24.0
    assert largest_spread([std(REFERENCE_DRAWS, 0.0), std("a", 0.0)]) == 1.0
