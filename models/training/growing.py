"""Sets that are trained on while they are still being made, in the memory of the device that trains."""
from __future__ import annotations

import bisect
import math
import time

import numpy as np
import torch


class Growing:
    """Rows of arrays that are filled from the front; `unmade` is what the last one holds where a row is not there yet."""

    def __init__(self, paths, unmade, device):
        self.there = [np.load(p, mmap_mode="r") for p in paths]
        self.here = [torch.empty(a.shape, dtype=torch.from_numpy(a[:0].copy()).dtype, device=device) for a in self.there]
        self.unmade, self.count = unmade, 0
        self.refresh()

    def refresh(self) -> int:
        """Takes what was made since; how many rows there are."""
        last = self.there[-1]
        made = bisect.bisect_left(range(len(last)), True, lo=self.count, key=lambda i: last[i].flat[0] == self.unmade)
        for here, there in zip(self.here, self.there):
            for at in range(self.count, made, 4096):  # in pieces, or a whole set stands in memory twice
                here[at:min(made, at + 4096)] = torch.from_numpy(np.array(there[at:min(made, at + 4096)])).to(here.device)
        self.count = made
        return made

    def pick(self, n: int):
        """n random rows of each array."""
        i = torch.randint(self.count, (n,), device=self.here[0].device)
        return [a[i] for a in self.here]


class Course:
    """How far a training is, by steps or by the clock, and how fast it may learn: up for the first tenth, then down as a cosine."""

    def __init__(self, optimizer, most: float, steps: int, minutes: float):
        self.optimizer, self.most, self.steps, self.minutes = optimizer, most, steps, minutes
        self.began, self.done = time.monotonic(), 0

    def step(self) -> bool:
        """Counts a step and sets the next one's rate; whether there is one."""
        self.done += 1
        part = (time.monotonic() - self.began) / 60 / self.minutes if self.minutes else self.done / self.steps
        rate = part / 0.1 if part < 0.1 else 0.5 + 0.5 * math.cos(math.pi * (part - 0.1) / 0.9)
        for group in self.optimizer.param_groups:
            group["lr"] = self.most * max(rate, 1e-3)
        return part < 1

    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began


def device() -> str:
    """The card where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
