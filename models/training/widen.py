"""A wider reader that begins where a narrower one ended: python widen.py OLD.pt NEW.pt

Each new channel is a copy of an old one, and what reads it is shared between the copies
(Chen, Goodfellow, Shlens 2016, "Net2Net"), so that the wide network answers as the narrow one
did, up to a little noise that lets the copies part. Characters and kinds that the old one did not
know begin at zero.
"""
from __future__ import annotations

import sys

import torch

import plates
from net import SlotNet

OLD_ALPHABET = plates.ALPHABET.replace("民航应急", "")


def copies(old: int, new: int) -> torch.Tensor:
    """Which old channel each new one copies."""
    return torch.cat([torch.arange(old), torch.randperm(old)[: new - old]])


def fitted(value: torch.Tensor, like: torch.Tensor, out_of: dict, shared: bool) -> torch.Tensor:
    """A parameter widened along its first axis, and along its second where it reads channels."""
    if like.shape[0] != value.shape[0]:
        value = value[out_of[(value.shape[0], like.shape[0])]]
    if shared and like.shape[1] != value.shape[1]:
        index = out_of[(value.shape[1], like.shape[1])]
        times = torch.bincount(index)[index].reshape(1, -1, *[1] * (value.dim() - 2))
        value = value[:, index] / times
    return value


def main(old_path, new_path):
    torch.manual_seed(0)
    old, net = torch.load(old_path), SlotNet()
    new = net.state_dict()
    out_of: dict = {}
    for name, value in old.items():
        for a, b in zip(value.shape, new[name].shape):
            if name.startswith("body") and a != b:
                out_of.setdefault((a, b), copies(a, b))
    classes = torch.tensor([plates.INDEX[c] for c in OLD_ALPHABET])
    for name, value in old.items():
        like = new[name]
        if name in ("char.weight", "char.bias", "kind.weight", "kind.bias"):
            if value.dim() == 2:
                value = fitted(value, value.new_empty(len(value), like.shape[1]), out_of, True)
            wide = torch.zeros_like(like)
            if name.startswith("char"):
                wide[classes] = value
                if value.dim() == 1:
                    wide[[plates.INDEX[c] for c in "民航应急"]] = value.min()
            else:
                wide[: len(value)] = value
            value = wide
        elif name == "slot_bias":
            wide = torch.zeros_like(like)
            wide[:, classes] = value
            value = wide
        elif name == "position":
            value = value[:, out_of[(value.shape[1], like.shape[1])]]
        elif value.dim():
            value = fitted(value, like, out_of, value.dim() == 4)
        if value.dim() == 4 and name != "position":
            value = value * (1 + 0.05 * torch.randn_like(value))
        assert value.shape == like.shape, name
        new[name] = value
    net.load_state_dict(new)
    torch.save(net.state_dict(), new_path)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.3f} M parameters")


if __name__ == "__main__":
    main(*sys.argv[1:])
