"""Coupling flows: invertible, with the log-determinant that autograd finds, and images stay images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.core.rng import Rng
from bench.numerics.nets import initialise
from methods.aps.flows import MAX_LOG_SCALE, ZERO_ENDS, bounded, coupling_masks, make_flow

CONTEXT = 3
# (1, 12, 16) is seen pooled by the global part
SHAPES = [(1, 4, 4), (3, 4, 5), (2, 1, 1), (1, 12, 16), (5,), (1, 42, 1)]


def build(shape: tuple[int, ...], num_layers: int = 8, num_channels: int = 3) -> nn.Module:
    """A flow whose couplings are not the identity, in float64."""
    with torch.random.fork_rng(devices=[]):
        flow = make_flow(shape, CONTEXT, num_layers, width=16, num_channels=num_channels)
    return initialise(flow, Rng(("test", "flow"), [0]), gain=0.5).double()


def points(shape: tuple[int, ...], n: int, what: str = "z") -> Tensor:
    return Rng(("test", "points", what), range(n)).randn(shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_undoes_the_flow(shape, dtype):
    flow = build(shape).to(dtype)
    z, context = points(shape, 6).to(dtype), points((CONTEXT,), 6, "context").to(dtype)
    x, log_det = flow(z, context)
    back, inverse_log_det = flow.inverse(x, context)
    assert x.shape == z.shape and log_det.shape == (6,)
    assert (x - z).abs().max() > 0.1  # there was something to undo
    # rounding of 6e-8 or 1e-16, grown by scales of about e^(1/2) in each of eight layers
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(back, z, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 5), (2, 1, 1), (5,)], ids=str)
def test_log_determinant_is_that_of_the_jacobian(shape):
    flow = build(shape)
    z, context = points(shape, 1), points((CONTEXT,), 1, "context")
    x, log_det = flow(z, context)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow(z, context)[0], z).reshape(
        z.numel(), z.numel()
    )
    # determinants of at most 60 x 60 in float64
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacobian)[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_are_independent_and_the_context_matters(shape):
    flow = build(shape)
    z, context = points(shape, 4), points((CONTEXT,), 4, "context")
    x = flow(z, context)[0]
    torch.testing.assert_close(flow(z[2:3], context[2:3])[0], x[2:3], rtol=1e-10, atol=1e-10)
    other = context.clone()
    other[1] += 1
    changed = (flow(z, other)[0] - x).flatten(1).abs().amax(1)
    assert changed[1] > 1e-3 and changed[[0, 2, 3]].max() < 1e-10


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 5)], ids=str)
def test_couplings_that_end_in_zeros_are_the_identity(shape):
    with torch.random.fork_rng(devices=[]):
        flow = make_flow(shape, CONTEXT, 4, width=8, num_channels=2)
    ends = [name for name, _ in flow.named_modules() if name.endswith(ZERO_ENDS)]
    initialise(flow, Rng(("test", "flow"), [0]), zero=ends)
    z, context = points(shape, 2).float(), points((CONTEXT,), 2, "context").float()
    x, log_det = flow(z, context)
    assert torch.equal(x, z) and torch.equal(log_det, torch.zeros(2))


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 2, 5), (2, 1, 1)], ids=str)
def test_each_mask_is_followed_by_its_complement(shape):
    masks = coupling_masks(shape)
    for mask, complement in zip(masks[::2], masks[1::2], strict=True):
        assert torch.equal(mask + complement, torch.ones(shape))
        assert 0 < mask.sum() < mask.numel()


def test_an_image_of_one_entry_is_refused_with_a_message():
    with pytest.raises(ValueError, match="at least two entries"):
        make_flow((1, 1, 1), CONTEXT, 2, 8, 2)


def test_a_coupling_keeps_the_part_on_which_it_conditions():
    flow = build((2, 4, 4))
    z, context = points((2, 4, 4), 3), points((CONTEXT,), 3, "context")
    for layer in flow.layers:
        x = layer(z, context)[0]
        kept = layer.mask.bool()
        assert (
            torch.equal(x[:, kept], z[:, kept])
            and not torch.isclose(x[:, ~kept], z[:, ~kept]).any()
        )


def test_the_local_part_moves_with_the_image():
    """Without the global part couplings are convolutions between masks of period 2, all away from the border."""
    side, num_layers, shift = 24, 2, 4
    flow = build((1, side, side), num_layers)
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if "to_image" in name:
                parameter.zero_()
    z, context = points((1, side, side), 1), points((CONTEXT,), 1, "context")
    x, moved = flow(z, context)[0], flow(z.roll((shift, shift), (2, 3)), context)[0]
    reach = 2 * num_layers  # pixels: two 3 x 3 convolutions per coupling
    inside = slice(shift + reach, side - reach)
    torch.testing.assert_close(
        moved[..., inside, inside],
        x.roll((shift, shift), (2, 3))[..., inside, inside],
        rtol=1e-10,
        atol=1e-10,
    )


def test_log_scales_are_bounded_and_untouched_near_zero():
    values = torch.linspace(-50, 50, 101, dtype=torch.float64)
    assert bounded(values).abs().max() <= MAX_LOG_SCALE
    small = torch.tensor([-1e-3, 1e-3], dtype=torch.float64)
    # b tanh(v / b) = v - v^3 / (3 b^2) + ...
    torch.testing.assert_close(bounded(small), small, rtol=1e-6, atol=0)
