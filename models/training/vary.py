"""Fresh variations of a batch, on the device where the batch is, so that a set lasts longer.

Pictures come as uint8 N x H x W x 3 (BGR) and go as float N x 3 x H x W in 0..1 minus 0.5, as the
networks take them.
"""
from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def planes(batch: torch.Tensor) -> torch.Tensor:
    """uint8 N x H x W x 3 as float N x 3 x H x W in 0..1."""
    return batch.permute(0, 3, 1, 2).float().div(255)


def _some(x, share):
    """The indices of a random share of the batch."""
    return (torch.rand(len(x), device=x.device) < share).nonzero().squeeze(1)


def _between(x, n, low, high, channels=1):
    return torch.empty(n, channels, 1, 1, device=x.device).uniform_(low, high)


def warp(x: torch.Tensor, back: torch.Tensor, fill: str) -> torch.Tensor:
    """The pictures seen through maps; `back` (N x 3 x 3) leads from a pixel of the answer to one of x."""
    h, w = x.shape[2:]
    v, u = torch.meshgrid(torch.arange(h, device=x.device) + 0.5, torch.arange(w, device=x.device) + 0.5, indexing="ij")
    at = torch.stack([u, v, torch.ones_like(u)]).reshape(3, -1)
    p = back @ at
    p = p[:, :2] / p[:, 2:]
    grid = (p / torch.tensor([[w / 2], [h / 2]], device=x.device) - 1).transpose(1, 2).reshape(len(x), h, w, 2)
    return F.grid_sample(x, grid, padding_mode=fill, align_corners=False)


def homographies(source: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """The maps (N x 3 x 3) that lead four points each (N x 4 x 2) to four others."""
    n = len(source)
    rows = []
    for i in range(4):
        (x, y), (u, v) = source[:, i].unbind(1), goal[:, i].unbind(1)
        nil, one = torch.zeros_like(x), torch.ones_like(x)
        rows += [torch.stack([x, y, one, nil, nil, nil, -u * x, -u * y], 1), torch.stack([nil, nil, nil, x, y, one, -v * x, -v * y], 1)]
    m = torch.linalg.solve(torch.stack(rows, 1), goal.reshape(n, 8))
    return torch.cat([m, torch.ones(n, 1, device=m.device)], 1).reshape(n, 3, 3)


def blur(x: torch.Tensor, least: float, most: float, stretch: float, size: int = 9) -> torch.Tensor:
    """A Gaussian for each picture: round, or up to `stretch` times longer one way, as movement smears."""
    n = len(x)
    if n == 0:
        return x
    across = _between(x, n, least, most)
    along = across * _between(x, n, 1, stretch)
    turn = _between(x, n, 0, math.pi)
    r = torch.arange(size, device=x.device) - size // 2
    v, u = torch.meshgrid(r.float(), r.float(), indexing="ij")
    a, b = u * turn.cos() + v * turn.sin(), v * turn.cos() - u * turn.sin()
    kernel = torch.exp(-0.5 * ((a / along) ** 2 + (b / across) ** 2))
    kernel = (kernel / kernel.sum((2, 3), keepdim=True)).repeat_interleave(3, 0)
    padded = F.pad(x, (size // 2,) * 4, mode="replicate").reshape(1, n * 3, x.shape[2] + size - 1, x.shape[3] + size - 1)
    return F.conv2d(padded, kernel, groups=n * 3).reshape(x.shape)


def light(x: torch.Tensor, cast=0.06, noise=0.03) -> torch.Tensor:
    """Another exposure, contrast, curve and colour cast; some without colour; noise."""
    n = len(x)
    x = x * (1 + cast * torch.randn(n, 3, 1, 1, device=x.device)) * _between(x, n, 0.55, 1.35)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = ((x - middle) * _between(x, n, 0.6, 1.25) + middle).clamp(0, 1) ** _between(x, n, 0.75, 1.35)
    grey = _some(x, 0.2)
    x[grey] = (x[grey] * torch.tensor([0.114, 0.587, 0.299], device=x.device).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    loud = _some(x, 0.4)
    x[loud] = x[loud] + torch.randn_like(x[loud]) * _between(x, len(loud), 0, noise)
    return x.clamp(0, 1)


def farther(x: torch.Tensor, share: float, least: float, parts: int = 4) -> torch.Tensor:
    """A share of the pictures as if they had been taken with fewer pixels."""
    h, w = x.shape[2:]
    for chunk in _some(x, share).chunk(parts):
        k = least + (0.9 - least) * torch.rand(()).item()
        small = F.interpolate(x[chunk], (max(4, round(h * k)), max(8, round(w * k))), mode="area")
        x[chunk] = F.interpolate(small, (h, w), mode="bilinear", align_corners=False)
    return x


def crops(batch: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    """Cut-out plates with other errors of the corners, sharpness, light, and something over an edge."""
    x = planes(batch)
    n, _, h, w = x.shape
    size = torch.tensor([w, h], device=x.device).float()
    square = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]], device=x.device)
    sd = strength * torch.tensor([0.012, 0.035], device=x.device)
    goal = square + torch.randn(n, 4, 2, device=x.device) * sd
    goal = goal + torch.randn(n, 1, 2, device=x.device) * strength * torch.tensor([0.015, 0.04], device=x.device)
    x = warp(x, homographies((square * size).expand(n, 4, 2), goal * size), "border")
    x = farther(x, 0.3, 0.3)
    soft = _some(x, 0.25)
    x[soft] = blur(x[soft], 0.4, 1.3, 2.5)
    over = _some(x, 0.12)
    if len(over):  # a hook, a branch, the picture's own edge
        m = len(over)
        side = torch.randint(4, (m, 1, 1), device=x.device)
        v, u = torch.meshgrid(torch.linspace(0, 1, h, device=x.device), torch.linspace(0, 1, w, device=x.device), indexing="ij")
        deep = torch.rand(m, 1, 1, device=x.device)
        near = torch.where(side == 0, u < 0.07 * deep, torch.where(side == 1, u > 1 - 0.07 * deep, torch.where(side == 2, v < 0.16 * deep, v > 1 - 0.16 * deep)))
        x[over] = torch.where(near[:, None], torch.rand(m, 3, 1, 1, device=x.device) * torch.rand(m, 1, 1, 1, device=x.device), x[over])
    return light(x) - 0.5


def scenes(batch: torch.Tensor, quads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and their plates' corners (N x plates x 8, NaN where there are fewer), moved, turned, nearer
    or farther, in another light."""
    x = planes(batch)
    n, _, h, w = x.shape
    k = torch.exp(torch.empty(n, device=x.device).uniform_(math.log(0.7), math.log(1.4)))
    turn = 0.05 * torch.randn(n, device=x.device)
    c, s = k * turn.cos(), k * turn.sin()
    middle = torch.tensor([w / 2, h / 2], device=x.device)
    free = (k - 1).abs()[:, None] / 2 * torch.tensor([w, h], device=x.device) + 8
    move = middle + (torch.rand(n, 2, device=x.device) * 2 - 1) * free
    linear = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    shift = move - (linear @ middle)
    there = torch.cat([torch.cat([linear, shift[:, :, None]], 2), torch.tensor([0.0, 0, 1], device=x.device).expand(n, 1, 3)], 1)
    still = _some(x, 0.3)
    there[still] = torch.eye(3, device=x.device)
    # Outside of the picture lies the grey that a letterbox has there.
    x = warp(x - 90 / 255, torch.linalg.inv(there), "zeros") + 90 / 255
    at = quads.reshape(n, -1, 2) @ there[:, :2, :2].transpose(1, 2) + there[:, None, :2, 2]
    quads = at.reshape(n, -1, 4, 2)
    c = quads.mean(2)
    inside = ((c > 2) & (c < torch.tensor([w - 2, h - 2], device=x.device))).all(2)
    quads = torch.where(inside[:, :, None, None], quads, torch.nan)
    soft = _some(x, 0.25)
    x[soft] = blur(x[soft], 0.3, 1.2, 2.0, 7)
    return light(x) - 0.5, quads
