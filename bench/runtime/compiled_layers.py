"""Layers that torch's compiler makes fast on a CPU, for networks in the layout channels last.

In that layout convolutions need no reordering. But torch's own GroupNorm compiles to several passes over the images,
each of which repeats the sums before it, and SiLU to passes that compute the sigmoid again. Here a row of pixels is one
long vector, however few its channels are, and small matrix products, which the compiler never repeats, convert between
rows and groups.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


def ease_compiling(network: nn.Module) -> None:
    """Make GroupNorms and SiLUs in `network` call the functions below; values stay the same up to rounding."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.forward = partial(group_norm, module)  # pyright: ignore[reportAttributeAccessIssue] (named x here)
        elif isinstance(module, nn.SiLU):
            module.forward = silu  # pyright: ignore[reportAttributeAccessIssue] (as above)


def group_norm(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Return GroupNorm of x (n, c, h, w), equal to torch's up to rounding, in channels last; of other shapes, torch's.

    The variance is the mean square less the squared mean, which takes one pass but has a rounding error that grows with
    (mean / deviation)^2.
    """
    if x.dim() != 4 or not norm.affine:
        return nn.GroupNorm.forward(norm, x)
    groups, (c, h, w) = norm.num_groups, x.shape[1:]
    rows = x.permute(0, 2, 3, 1).flatten(2)  # (n, h, w * c), a view of what is channels last
    members = (
        torch.eye(groups, dtype=x.dtype, device=x.device)
        .repeat_interleave(c // groups, 1)
        .repeat(1, w)
    )
    share = members.T / (h * w * c // groups)
    mean = rows.sum(1) @ share  # (n, groups)
    variance = (rows.square().sum(1) @ share - mean.square()).clamp_min(0)
    rate = (variance + norm.eps).rsqrt()
    weight, bias = norm.weight.repeat(w), norm.bias.repeat(w)
    scale = rate @ members * weight
    shift = bias - (mean * rate) @ members * weight
    normed = torch.addcmul(shift.unsqueeze(1), rows, scale.unsqueeze(1))
    return normed.unflatten(2, (w, c)).permute(0, 3, 1, 2)


def silu(x: Tensor) -> Tensor:
    """Return x sigmoid(x), with the sigmoid kept for its derivative; torch and its compiler would compute it again."""
    return _SiLU.apply(x)[0]


class _SiLU(torch.autograd.Function):
    """x -> x sigmoid(x), sigmoid(x); the sigmoid is an output so that derivatives of any order pass through it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        sigmoid = x.sigmoid()
        return x * sigmoid, sigmoid

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] (torch declares it for any number of outputs)
        ctx, of_product: Tensor | None, of_sigmoid: Tensor | None
    ) -> Tensor | None:
        product, sigmoid = ctx.saved_tensors
        grad = None if of_sigmoid is None else of_sigmoid * sigmoid * (1 - sigmoid)
        if of_product is not None:
            through_product = of_product * (
                torch.addcmul(product, product, sigmoid, value=-1) + sigmoid
            )
            grad = through_product if grad is None else grad + through_product
        return grad
