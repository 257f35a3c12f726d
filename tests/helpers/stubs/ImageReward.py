"""Replaces the library of this name: a network with the parts and the calls of its model."""

from types import SimpleNamespace

import torch
from torch import nn


class Blip(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.across = nn.Conv2d(3, 8, 56, 56), nn.Linear(8, 4)
        self.words = nn.Embedding(100, 4)

    def tokenizer(self, prompt, padding, truncation, max_length, return_tensors):
        ids = torch.zeros(1, max_length, dtype=torch.long)
        ids[0, : len(prompt)] = torch.tensor([ord(letter) % 100 for letter in prompt])
        return SimpleNamespace(input_ids=ids, attention_mask=(ids > 0).long())

    def visual_encoder(self, pixels):
        assert pixels.shape[1:] == (3, 224, 224)
        return self.patches(pixels).flatten(2).mT

    def text_encoder(
        self,
        input_ids,
        attention_mask,
        encoder_hidden_states,
        encoder_attention_mask,
        return_dict,
    ):
        assert encoder_attention_mask.shape == encoder_hidden_states.shape[:2]
        seen = self.across(encoder_hidden_states.tanh().mean(1))
        words = (self.words(input_ids) * attention_mask[..., None]).mean(1)
        return SimpleNamespace(last_hidden_state=(seen + words)[:, None])


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.blip, self.mlp, self.mean, self.std = Blip(), nn.Linear(4, 1), 0.1, 1.0


def load(name, device):
    assert name == "ImageReward-v1.0"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model().to(device)
