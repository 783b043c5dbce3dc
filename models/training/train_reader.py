"""Train the reader: python train_reader.py OUT.pt CROPS... [--real REAL.npz ...] [--init M.pt] [--epochs N | --minutes M]

CROPS are the names given to make_crops.py, which may still be at work. Real crops (few) make up
--real-share of every batch. All are varied anew each time they are seen, rendered ones less (vary.py).
A graphics card is used where torch finds one. A checkpoint a minute, which --init goes on from.
"""
from __future__ import annotations

import argparse
import random

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import growing
import vary
from net import SlotNet


def to_input(batch: np.ndarray) -> torch.Tensor:
    return vary.planes(torch.from_numpy(batch)).sub_(0.5)


@torch.no_grad()
def predict(model, x, batch=256):
    """Logits for uint8 crops N x 48 x 160 x 3: (N x 8 x classes, N x kinds)."""
    model.eval()
    where = next(model.parameters()).device
    outs = [model(to_input(x[i:i + batch]).to(where)) for i in range(0, len(x), batch)]
    return torch.cat([o[0] for o in outs]).cpu(), torch.cat([o[1] for o in outs]).cpu()


def accuracy(model, x, y):
    pred = predict(model, x)[0].argmax(-1).numpy()
    hit = pred == y
    return hit.all(1).mean(), hit[:, 1:].all(1).mean()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out"), ap.add_argument("crops", nargs="+")
    ap.add_argument("--real", nargs="*", default=[]), ap.add_argument("--real-share", type=float, default=0.3)
    ap.add_argument("--val", nargs="*", default=[]), ap.add_argument("--init")
    ap.add_argument("--epochs", type=int, default=8), ap.add_argument("--minutes", type=float, default=0, help="instead of --epochs")
    ap.add_argument("--batch", type=int, default=128), ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--threads", type=int, default=2), ap.add_argument("--smooth", type=float, default=0.01)
    a = ap.parse_args()
    torch.manual_seed(0), torch.set_num_threads(a.threads)
    r, where = random.Random(0), growing.device()
    sets = [growing.Growing([f"{n}.{part}.npy" for part in "xyk"], -2, where) for n in a.crops]
    real = [np.load(p) for p in a.real]
    real = [torch.from_numpy(np.concatenate([p[n] for p in real])).to(where) for n in "xyk"] if real else None
    vals = [(p, np.load(p)) for p in a.val]
    model = SlotNet().to(where, memory_format=torch.channels_last)
    if a.init:
        model.load_state_dict(torch.load(a.init, map_location=where))
    # The mean of the last thousand or so steps reads better than the last step.
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    n_real = int(a.batch * a.real_share) if real else 0
    steps = a.epochs * sum(len(s.there[0]) for s in sets) // (a.batch - n_real)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.3f} M parameters, {sum(s.count for s in sets)} rendered so far, {len(real[0]) if real else 0} real, {where}", flush=True)
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, weight_decay=1e-3)
    course = growing.Course(opt, a.lr, steps, a.minutes)
    saved, told, total = 0.0, 0, torch.zeros((), device=where)
    going = True
    while going:
        going = course.step()
        model.train()
        x, y, k = r.choices(sets, [s.count for s in sets])[0].pick(a.batch - n_real)
        as_made = len(x) // 3
        x = torch.cat([vary.planes(x[:as_made]) - 0.5, vary.crops(x[as_made:], 0.6)])
        if real:
            i = torch.randint(len(real[0]), (n_real,), device=where)
            x, y, k = torch.cat([x, vary.crops(real[0][i])]), torch.cat([y, real[1][i]]), torch.cat([k, real[2][i]])
        with torch.autocast(where, torch.bfloat16):
            chars, kinds = model(x.contiguous(memory_format=torch.channels_last))
        k = k.long()
        loss = F.cross_entropy(chars.float().flatten(0, 1), y.long().flatten(), label_smoothing=a.smooth)
        looks = F.cross_entropy(kinds.float(), k, ignore_index=-1, reduction="sum") / (k >= 0).sum().clamp(min=1)
        opt.zero_grad(set_to_none=True)
        (loss + 0.2 * looks).backward()
        opt.step()
        mean.update_parameters(model)
        total += loss.detach()
        if course.done % 100 == 0:
            print(f"  step {course.done} loss {total.item() / (course.done - told):.3f} {sum(s.refresh() for s in sets)} rendered {course.elapsed():.0f} s", flush=True)
            told = course.done
            total.zero_()
        if course.elapsed() > saved + 60 or not going:
            saved = course.elapsed()
            torch.save({k: v.cpu() for k, v in mean.module.state_dict().items()}, a.out)
            scores = "  ".join(f"{p.split('/')[-1]} {100 * f:.2f}/{100 * t:.2f}" for p, v in vals for f, t in [accuracy(mean.module, v["x"], v["y"])])
            print(f"saved at {course.elapsed():.0f} s | exact/without province: {scores}", flush=True)


if __name__ == "__main__":
    main()
