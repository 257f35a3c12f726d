"""Chunks change neither values nor gradients, and memory and calls are as promised."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.numerics.chunks import in_chunks, rows_of, with_gradient


def test_rows_of_a_call_fall_with_the_size_of_an_image_and_are_at_least_one():
    assert rows_of((1, 8, 8)) > 128 * 16 and rows_of((3, 10_000, 10_000)) == 1


def test_chunks_give_the_same_values_and_gradients():
    layer = nn.Linear(3, 2).double()
    x = torch.linspace(-1, 1, 15, dtype=torch.float64).view(5, 3).requires_grad_()

    def call(x: Tensor) -> tuple[Tensor, Tensor]:
        h = layer(x).tanh()
        return h, h.square().sum(1)

    found = []
    for num_rows in (5, 2):
        h, squares = in_chunks(call, num_rows, x)
        gradients = torch.autograd.grad(h.sum() + squares.sum(), [x, *layer.parameters()])
        found.append([h, squares, *gradients])
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_known_gradients_cost_one_pass_and_are_right():
    calls = []

    def function(x: Tensor, scale: Tensor) -> Tensor:
        calls.append(len(x))
        return (scale[:, None] * x**3).sum(1)

    x = torch.arange(10.0, dtype=torch.float64).view(5, 2).requires_grad_()
    scale = torch.arange(5.0, dtype=torch.float64)
    value = with_gradient(function, 2, x, scale)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)  # of a loss that comes afterwards
    (gradient,) = torch.autograd.grad((weights * value).sum(), x)
    assert calls == [2, 2, 1]
    torch.testing.assert_close(value, (scale[:, None] * x**3).sum(1))
    torch.testing.assert_close(gradient, 3 * (weights * scale)[:, None] * x.detach() ** 2)
    with torch.no_grad():
        assert not with_gradient(function, 2, x, scale).requires_grad
