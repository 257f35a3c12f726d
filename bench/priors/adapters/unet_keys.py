"""Rename weights of guided-diffusion's UNet to those of diffusers' `UNet2DModel`, and back; both compute the same.

The foreign network numbers its parts in the order in which they run: `input_blocks.3.0.in_layers.2.weight`. Its
attention has one matrix for q, k and v, a convolution of one pixel, where diffusers has three linear layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

from bench.core.errors import UserError, printable
from bench.priors.adapters.architectures import Architecture, outline
from bench.priors.adapters.diffusers import refuse_odd_numbers, refuse_other_names

# parts of a residual block, of an attention and of a change of resolution: diffusers' name -> the foreign one
PARTS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
    "group_norm": "norm",
    "to_q": "qkv",
    "to_k": "qkv",
    "to_v": "qkv",
    "to_out.0": "proj_out",
}
QKV = ("to_q", "to_k", "to_v")
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding": "label_emb",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def blocks_of(architecture: Architecture) -> dict[str, str]:
    """Return the foreign name of each block by its name in diffusers."""
    return dict([*ENDS.items(), *_way_down(architecture), *_way_up(architecture)])


def _way_down(a: Architecture) -> Iterator[tuple[str, str]]:
    number, last = 1, len(a.multipliers) - 1
    for level in range(last + 1):
        for layer in range(a.layers):
            yield f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{number}.0"
            if level in a.attention:
                yield f"down_blocks.{level}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        if level < last:
            ours, theirs = f"down_blocks.{level}.downsamplers.0", f"input_blocks.{number}.0"
            yield (ours, theirs) if a.block_resampling else (f"{ours}.conv", f"{theirs}.op")
            number += 1


def _way_up(a: Architecture) -> Iterator[tuple[str, str]]:
    number, last = 0, len(a.multipliers) - 1
    for block in range(last + 1):
        has_attention = last - block in a.attention
        for layer in range(a.layers + 1):
            yield f"up_blocks.{block}.resnets.{layer}", f"output_blocks.{number}.0"
            if has_attention:
                yield f"up_blocks.{block}.attentions.{layer}", f"output_blocks.{number}.1"
            if layer == a.layers and block < last:
                ours = f"up_blocks.{block}.upsamplers.0"
                theirs = f"output_blocks.{number}.{1 + has_attention}"
                yield (ours, theirs) if a.block_resampling else (f"{ours}.conv", f"{theirs}.conv")
            number += 1


def foreign_names(architecture: Architecture, names: Iterable[str]) -> dict[str, str]:
    """Return the foreign name of each weight by its name in diffusers; q, k and v share one."""
    blocks, found = blocks_of(architecture), {}
    for name in names:
        block, part = next(
            (block, name[len(block) + 1 : -len(end)])
            for end in (".weight", ".bias")
            if name.endswith(end)
            for block in _starts_of(name)
            if block in blocks
        )
        inner = f".{PARTS[part.rstrip('.')]}" if part else ""
        found[name] = f"{blocks[block]}{inner}.{name.rpartition('.')[2]}"
    return found


def _starts_of(name: str) -> Iterator[str]:
    """Yield the name without its last word, without its last two, and so on."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def diffusers_state(
    tensors: Mapping[str, Tensor], architecture: Architecture, source: str
) -> dict[str, Tensor]:
    """Return the weights for `UNet2DModel`, float32.

    Raises UserError, one line, that names the first weights that are missing, unexpected, not finite or of wrong shape.
    """
    shapes = shapes_of(architecture)
    names = foreign_names(architecture, shapes)
    refuse_other_names(names.values(), map(printable, tensors), source)
    refuse_odd_numbers(tensors, source)
    state = {name: _ours(name, tensors[names[name]], architecture) for name in shapes}
    for name, shape in shapes.items():
        if state[name].shape != shape:
            theirs = names[name]
            raise UserError(
                f"{source}: {theirs} has shape {tuple(tensors[theirs].shape)}, which is not the architecture's "
                f"({name} {tuple(shape)})"
            )
    return {name: weight.float().contiguous() for name, weight in state.items()}


@cache
def shapes_of(architecture: Architecture) -> dict[str, torch.Size]:
    """Return the shape of each weight by its name in diffusers."""
    return {name: weight.shape for name, weight in outline(architecture).state_dict().items()}


def foreign_state(
    state: Mapping[str, Tensor], architecture: Architecture, conv_dims: int = 1
) -> dict[str, Tensor]:
    """Return the weights of a `UNet2DModel` under foreign names. conv_dims: axes of the convolutions in attention."""
    theirs: dict[str, list[Tensor]] = {}
    for name, foreign in foreign_names(architecture, state).items():
        weight = state[name]
        if "attentions" in name and weight.dim() == 2:
            weight = weight.reshape(*weight.shape, *[1] * conv_dims)
        theirs.setdefault(foreign, []).append(weight)
    return {
        name: parts[0] if len(parts) == 1 else _joined(parts, architecture)
        for name, parts in theirs.items()
    }


def _ours(name: str, weight: Tensor, a: Architecture) -> Tensor:
    """Return a weight in diffusers' layout: the rows of q, k or v, and a matrix for an attention's convolution."""
    if "attentions" not in name:
        return weight
    part = next((i for i, key in enumerate(QKV) if f".{key}." in name), None)
    if part is not None and weight.dim() and weight.shape[0] % (3 * a.head) == 0:
        if a.qkv == "by_head":
            weight = weight.unflatten(0, (-1, 3, a.head))[:, part].flatten(0, 1)
        else:
            weight = weight.chunk(3)[part]
    return weight.flatten(1) if weight.dim() > 2 else weight


def _joined(parts: list[Tensor], a: Architecture) -> Tensor:
    """Return one matrix, or bias, joined from those of q, k and v."""
    if a.qkv == "by_kind":
        return torch.cat(parts)
    return torch.stack([part.unflatten(0, (-1, a.head)) for part in parts], 1).flatten(0, 2)
