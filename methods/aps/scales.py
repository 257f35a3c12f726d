"""The details of an image given its coarse half: a local regression, whose residual is refined by couplings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .flows import bounded

RIDGE = 1e-3  # of the regression, in measurements per measurement
SMALLEST_VARIANCE = 1e-6  # of a residual
SHARED = 32  # weight, in draws, of the mean variance of all pixels in the variance of each one


class Scale(nn.Module):
    """Details d (n, 3 c, h, w) = local regression + spread * root v, v = scale * couplings(u) + shift.

    Regression and spread are fitted in closed form; couplings, scale and shift are computed by convolutional networks
    from the coarse image and the features of the measurement. unit: scale of the coarse image's numbers, over the
    image's.
    """

    filters: Tensor
    offset: Tensor
    spread: Tensor
    root: Tensor

    def __init__(
        self, size: Sequence[int], unit: float, num_features: int, width: int, num_layers: int
    ) -> None:
        super().__init__()
        c, height, width_of_image = size
        self.unit = unit
        self.couplings = nn.ModuleList(
            ConvCoupling(3 * c, c + num_features, width) for _ in range(num_layers)
        )
        self.adjust = conditioner(c + num_features, width, 6 * c)
        self.register_buffer("filters", torch.zeros(3 * c, 5 * c, 3, 3))
        self.register_buffer("offset", torch.zeros(3 * c, height, width_of_image))
        self.register_buffer("spread", torch.ones(3 * c, height, width_of_image))
        self.register_buffer("root", torch.eye(3 * c))

    def forward(
        self, u: Tensor, coarse: Tensor, seen: Tensor, features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map u (n, 3 c, h, w) to details of that shape, given seen (n, 4 c, h, w); also log |det| (n,)."""
        context = torch.cat([coarse / self.unit, features], 1)
        log_det = u.new_zeros(len(u))
        for layer in self.couplings:
            u, change = layer(u, context)
            log_det = log_det + change
        shift, log_scale = self._adjustment(context)
        v = u * log_scale.exp() + shift
        return self._regression(coarse, seen) + self.spread * mixed(v, self.root), (
            log_det + log_scale.flatten(1).sum(1) + self._log_det_of_base()
        )

    def inverse(
        self, details: Tensor, coarse: Tensor, seen: Tensor, features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map details to u, (n, 3 c, h, w) each; also log |det du / d details| (n,)."""
        context = torch.cat([coarse / self.unit, features], 1)
        white = (details - self._regression(coarse, seen)) / self.spread
        shift, log_scale = self._adjustment(context)
        u = (mixed(white, torch.linalg.inv(self.root)) - shift) * (-log_scale).exp()
        log_det = -log_scale.flatten(1).sum(1) - self._log_det_of_base()
        for layer in reversed(self.couplings):
            u, change = layer.inverse(u, context)  # pyright: ignore[reportCallIssue] (ModuleList has no type of items)
            log_det = log_det + change
        return u, log_det

    @torch.no_grad()
    def fit(self, details: Tensor, coarse: Tensor, seen: Tensor, num_rows: int) -> None:
        """Fit the regression of details on coarse image and `seen` in 3 x 3 pixels, and its residual's covariance.

        num_rows: how many rows of the tensors are used at a time.
        """

        def parts() -> Iterator[tuple[Tensor, ...]]:
            return zip(*(part.split(num_rows) for part in (details, coarse, seen)), strict=True)

        num_pixels = len(details) * details[0, 0].numel()
        centre, mean = torch.cat([coarse.mean(0) / self.unit, seen.mean(0)]), details.mean(0)
        size = self.filters[0].numel()
        gram = RIDGE * num_pixels * torch.eye(size, dtype=torch.float64, device=details.device)
        moment = gram.new_zeros(size, len(mean))
        for d, c, s in parts():
            inputs = torch.cat([c / self.unit, s], 1) - centre
            near = functional.unfold(inputs, 3, padding=1).transpose(1, 2).flatten(0, 1).double()
            gram += near.T @ near
            moment += near.T @ (d - mean).flatten(2).transpose(1, 2).flatten(0, 1).double()
        self.filters.copy_(torch.linalg.solve(gram, moment).T.view_as(self.filters))
        self.offset.copy_(mean - functional.conv2d(centre[None], self.filters, padding=1)[0])

        squares = torch.zeros_like(mean)
        for d, c, s in parts():
            squares += (d - self._regression(c, s)).square().sum(0)
        shared = SHARED * (squares / len(details)).mean((1, 2), keepdim=True)
        variance = (squares + shared) / (len(details) + SHARED)
        self.spread.copy_(variance.clamp_min(SMALLEST_VARIANCE).sqrt())
        whites = (((d - self._regression(c, s)) / self.spread).double() for d, c, s in parts())
        products = sum(torch.einsum("njhw,nkhw->jk", white, white) for white in whites)
        variances, axes = torch.linalg.eigh(products / num_pixels)
        self.root.copy_((axes * variances.clamp_min(SMALLEST_VARIANCE).sqrt()) @ axes.T)

    def _regression(self, coarse: Tensor, seen: Tensor) -> Tensor:
        inputs = torch.cat([coarse / self.unit, seen], 1)
        return functional.conv2d(inputs, self.filters, padding=1) + self.offset

    def _adjustment(self, context: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = self.adjust(context).chunk(2, 1)
        return shift, bounded(log_scale)

    def _log_det_of_base(self) -> Tensor:
        pixels = self.spread[0].numel()
        return self.spread.log().sum() + pixels * torch.linalg.slogdet(self.root)[1]


class ConvCoupling(nn.Module):
    """Rotate channels (n, k, h, w), then scale and shift some of them, depending on the others and the context."""

    def __init__(self, num_channels: int, num_context: int, width: int) -> None:
        super().__init__()
        self.num_kept = num_channels // 2
        self.num_moved = num_channels - self.num_kept
        self.mixing = nn.Parameter(torch.zeros(num_channels, num_channels))
        self.conditioner = conditioner(self.num_kept + num_context, width, 2 * self.num_moved)

    def forward(self, u: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = mixed(u, self.rotation()).split([self.num_kept, self.num_moved], 1)
        log_scale, shift = self._scale_and_shift(kept, context)
        return torch.cat([kept, moved * log_scale.exp() + shift], 1), log_scale.flatten(1).sum(1)

    def inverse(self, u: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = u.split([self.num_kept, self.num_moved], 1)
        log_scale, shift = self._scale_and_shift(kept, context)
        u = torch.cat([kept, (moved - shift) * (-log_scale).exp()], 1)
        return mixed(u, self.rotation().T), -log_scale.flatten(1).sum(1)

    def rotation(self) -> Tensor:
        """Return an orthogonal matrix (k, k) of determinant 1, the exponential of an antisymmetric one."""
        return torch.linalg.matrix_exp(self.mixing - self.mixing.T)

    def _scale_and_shift(self, kept: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.conditioner(torch.cat([kept, context], 1)).chunk(2, 1)
        return bounded(log_scale), shift


def conditioner(num_inputs: int, width: int, num_outputs: int) -> nn.Module:
    """Return a network on images (n, num_inputs, h, w) that sees 5 x 5 pixels; `near_out` is initialised to zero."""
    layers = {
        "near_in": nn.Conv2d(num_inputs, width, 3, padding=1),
        "first": nn.SiLU(),
        "middle": nn.Conv2d(width, width, 1),
        "second": nn.SiLU(),
        "near_out": nn.Conv2d(width, num_outputs, 3, padding=1),
    }
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


def mixed(image: Tensor, matrix: Tensor) -> Tensor:
    """Return matrix (k, k) times the channels of each pixel of (n, k, h, w)."""
    return torch.einsum("jk,nkhw->njhw", matrix, image)
