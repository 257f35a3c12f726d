"""A signal on a sphere is drawn as a sphere, in the grid and on the page."""

import numpy as np
from matplotlib.colors import to_rgb

from bench.core.results import REFERENCE_DRAWS, SampleSet, TaskSamples
from bench.figures._pictures import SIDE_OF_SPHERE, UNMEASURED, coloured, largest_spread, pictures
from bench.figures.grid import Grid
from bench.numerics.icosphere import icosphere
from bench.report.page.gallery import gallery_of

VERTICES = icosphere(162).vertices
NORTH = np.where(VERTICES[:, 2] > 0, 0.8, -0.8)[None, :, None]


def seen():
    """Three measurements of a bright north, the east of which was not measured."""
    x = np.stack([NORTH] * 3)
    mask = np.broadcast_to((VERTICES[:, 1] <= 0)[None, :, None], x.shape).astype(float)
    return {"x_true": x, "y": x * mask, "mask": mask}


def sets():
    noise = np.random.default_rng(0).normal(size=(3, 4, 1, 162, 1))
    return [SampleSet(REFERENCE_DRAWS, seen()["x_true"][:, None] + 0.1 * noise)]


def test_the_sphere_is_seen_from_outside_on_white():
    y, truth, *others = pictures(0, seen(), sets(), 2)
    top, bottom, corner = (
        (10, SIDE_OF_SPHERE // 2),
        (SIDE_OF_SPHERE - 6, SIDE_OF_SPHERE // 2),
        (0, 0),
    )
    colours = coloured(truth, 1.0)
    assert (colours[corner] == 1).all() and colours[top].mean() > 0.85 > 0.15 > colours[
        bottom
    ].mean()
    hidden = coloured(y, 1.0)[SIDE_OF_SPHERE // 2]
    np.testing.assert_allclose(hidden[-8], to_rgb(UNMEASURED), atol=1e-6)  # the east, to the right
    assert np.ptp(hidden[8]) < 1e-6
    assert y.window == (-1, 1)
    spread = next(each for each in others if each.kind == "std")
    assert 0.05 < largest_spread([spread]) < 0.4
    assert (coloured(spread, 0.2)[corner] == 1).all()


def test_grid_and_page_draw_it():
    drawing = Grid().draw(TaskSamples("t", seen(), sets()))
    assert f"truth,0,x_true,0,{SIDE_OF_SPHERE // 2},0," in drawing.csv.replace(".0,", ",")
    page = gallery_of(seen(), sets(), {})
    assert tuple(page["x"]) == tuple(page["y"]) == (SIDE_OF_SPHERE, SIDE_OF_SPHERE)
