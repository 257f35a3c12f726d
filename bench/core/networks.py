"""The networks inside a prior, for moving them to a device, compiling and counting them."""

from __future__ import annotations

import dataclasses

from torch import nn


def networks_of(part: object) -> list[nn.Module]:
    """Return the networks in a prior, each once: in its fields, and in the fields of those that are dataclasses."""
    if isinstance(part, nn.Module):
        return [part]
    if not dataclasses.is_dataclass(part):
        return []
    fields = [getattr(part, field.name) for field in dataclasses.fields(part)]
    return list(dict.fromkeys(network for field in fields for network in networks_of(field)))
