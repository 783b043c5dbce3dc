"""Train the reader: python train_reader.py OUT.pt SYNTH.npz [--real REAL.npz ...] [--init M.pt] [--epochs N]

Synthetic crops are used as they are; real crops (few) are augmented anew each
time and make up --real-share of every batch. A checkpoint after each epoch.
"""
from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import augment
import plates
from net import SlotNet


def to_input(batch: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(255).sub_(0.5)


@torch.no_grad()
def predict(model, x, batch=256):
    """Logits for uint8 crops N x 48 x 160 x 3: (N x 8 x classes, N x kinds)."""
    model.eval()
    outs = [model(to_input(x[i:i + batch])) for i in range(0, len(x), batch)]
    return torch.cat([o[0] for o in outs]), torch.cat([o[1] for o in outs])


def accuracy(model, x, y):
    pred = predict(model, x)[0].argmax(-1).numpy()
    hit = pred == y
    return hit.all(1).mean(), hit[:, 1:].all(1).mean()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out"), ap.add_argument("synth", nargs="+")
    ap.add_argument("--real", nargs="*", default=[]), ap.add_argument("--real-share", type=float, default=0.3)
    ap.add_argument("--val", nargs="*", default=[]), ap.add_argument("--init"), ap.add_argument("--epochs", type=int, default=8)
    ap.add_argument("--batch", type=int, default=128), ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--threads", type=int, default=2), ap.add_argument("--smooth", type=float, default=0.01)
    ap.add_argument("--vary-share", type=float, default=0.4, help="synthetic crops that are varied like real ones, so that a set lasts longer")
    a = ap.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    rng = np.random.default_rng(0)
    parts = [np.load(p) for p in a.synth]
    x, y, k = (np.concatenate([p[n] for p in parts]) for n in "xyk")
    real = [np.load(p) for p in a.real]
    rx, ry, rk = (np.concatenate([p[n] for p in real]) for n in "xyk") if real else (None,) * 3
    vals = [(p, np.load(p)) for p in a.val]
    model = SlotNet().to(memory_format=torch.channels_last)
    if a.init:
        model.load_state_dict(torch.load(a.init))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.3f} M parameters, {len(x)} synthetic, {0 if rx is None else len(rx)} real", flush=True)
    # The mean of the last thousand or so steps reads better than the last step.
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, weight_decay=1e-3)
    n_real = int(a.batch * a.real_share) if rx is not None else 0
    n_synth = a.batch - n_real
    steps = len(x) // n_synth
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, a.lr, total_steps=steps * a.epochs, pct_start=0.15)
    for epoch in range(a.epochs):
        model.train()
        order, t0, total = rng.permutation(len(x)), time.time(), 0.0
        for s in range(steps):
            i = np.sort(order[s * n_synth:(s + 1) * n_synth])
            bx, by, bk = x[i], y[i], k[i]
            again = rng.random(len(bx)) < a.vary_share
            bx[again] = augment.real_batch(bx[again], rng)
            if n_real:
                j = rng.integers(0, len(rx), n_real)
                bx = np.concatenate([bx, augment.real_batch(rx[j], rng)])
                by, bk = np.concatenate([by, ry[j]]), np.concatenate([bk, rk[j]])
            xb = to_input(bx).contiguous(memory_format=torch.channels_last)
            yb, kb = torch.from_numpy(by).long(), torch.from_numpy(bk).long()
            with torch.autocast("cpu", torch.bfloat16):  # half the time where the processor has it
                chars, kinds = model(xb)
            chars, kinds = chars.float(), kinds.float()
            loss = F.cross_entropy(chars.flatten(0, 1), yb.flatten(), label_smoothing=a.smooth)
            if (kb >= 0).any():
                loss = loss + 0.2 * F.cross_entropy(kinds, kb, ignore_index=-1)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step(), sched.step(), mean.update_parameters(model)
            total += loss.item()
            if s % 100 == 99:
                print(f"  epoch {epoch} step {s + 1}/{steps} loss {total / (s + 1):.3f} {time.time() - t0:.0f} s", flush=True)
        torch.save(mean.module.state_dict(), a.out)
        scores = "  ".join(f"{p.split('/')[-1]} {100 * f:.1f}/{100 * t:.1f}" for p, v in vals for f, t in [accuracy(mean.module, v["x"], v["y"])])
        print(f"epoch {epoch} loss {total / steps:.4f} {time.time() - t0:.0f} s | exact/without province: {scores}", flush=True)


if __name__ == "__main__":
    main()
