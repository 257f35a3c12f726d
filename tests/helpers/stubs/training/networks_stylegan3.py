"""Replaces NVIDIA's module of this name: a network with the arguments and the call of its generator."""

import torch
from torch import nn


class Generator(nn.Module):
    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels):
        super().__init__()
        self.shape = (img_channels, img_resolution, img_resolution)
        self.mapping = nn.Linear(z_dim, 16)
        self.synthesis = nn.Linear(16, img_channels * img_resolution**2)
        self.register_buffer("magnitude_ema", torch.ones([]))

    def forward(self, z, c, truncation_psi=1):
        assert c is None and z.dtype == torch.float32
        return self.synthesis(self.mapping(z).tanh()).view(-1, *self.shape)
