"""Convolutional networks: shapes at all sizes, rows that do not interact, and a whole image in view."""

from __future__ import annotations

import pytest
import torch

from bench.core.rng import Rng
from bench.numerics.nets import initialise
from bench.numerics.pyramid import Pyramid, UNet


def images(n: int, *shape: int) -> torch.Tensor:
    return Rng(("test", "pyramid"), range(n)).randn(shape)


@pytest.mark.parametrize(("size", "halvings"), [((8, 12), 2), ((4, 4), 1)])
def test_features_have_half_the_size_and_coarser_ones_first(size, halvings):
    features = Pyramid(3, 5, halvings).double()(images(2, 3, *size))
    expected = [(2, 5, size[0] >> k, size[1] >> k) for k in range(halvings, 0, -1)]
    assert [tuple(part.shape) for part in features] == expected


def network() -> UNet:
    return initialise(UNet(3, 2, 8, 3), Rng(("test", "unet"), [0])).double()


def test_rows_do_not_interact():
    unet, x, time = network(), images(3, 3, 16, 16), torch.tensor([0.0, 0.5, 1.0]).double()
    out = unet(x, time)
    assert out.shape == (3, 2, 16, 16)
    torch.testing.assert_close(unet(x[1:2], time[1:2]), out[1:2], rtol=1e-12, atol=1e-12)
    assert (unet(x, time.flip(0)) - out)[[0, 2]].abs().amax((1, 2, 3)).min() > 1e-3


def test_each_output_pixel_depends_on_the_whole_image():
    unet, x = network(), images(1, 3, 16, 16)
    x.requires_grad_()
    corner = unet(x, torch.zeros(1).double())[0, :, 0, 0].sum()
    (gradient,) = torch.autograd.grad(corner, x)
    assert gradient[0, :, -1, -1].abs().max() > 0
