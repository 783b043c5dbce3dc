"""Figures on real pictures: python evaluate.py READER.pt [DETECTOR.pt] --split test [--index ../data/index.tsv] [--errors OUT.png]

Crops: read only. Scenes: with their own corners ("given quads"), and, with a
detector, from the whole picture: exact means the set of texts found equals the
set of labels.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import torch

import camera
import plates
import real
from net import SlotNet
from net_detect import PlateFinder, quads_from
from train_reader import predict, to_input


def interval(hits: int, n: int) -> str:
    """hits/n as a percentage with Wilson's 95 % interval."""
    if n == 0:
        return "-"
    p, z = hits / n, 1.96
    d = 1 + z * z / n
    c, h = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{100 * p:.1f} % ({hits}/{n}, {100 * (c - h) / d:.1f} to {100 * (c + h) / d:.1f})"


def texts_of(logits, sure=0.0):
    """Best text of each crop; '' where the product of its characters' probabilities is under `sure`."""
    p, best = logits.softmax(-1).max(-1)
    return [plates.decode(v) if q >= sure else "" for v, q in zip(best.numpy(), p.prod(-1).numpy())]


def refine(finder, img, quad, width=112, size=(256, 160)):
    """A second, closer look: the finder again on the surroundings of one plate, at its favourite size."""
    c, w = quad.mean(0), max(8.0, float(np.linalg.norm(quad[1] - quad[0])))
    k = width / w
    m = np.array([[k, 0, size[0] / 2 - k * c[0]], [0, k, size[1] / 2 - k * c[1]]], np.float32)
    if k < 0.5:
        img = cv2.GaussianBlur(img, (0, 0), 0.4 / k)
    view = cv2.warpAffine(img, m, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(real.GREY,) * 3)
    with torch.no_grad():
        found = quads_from(finder(to_input(view[None]))[0].numpy(), 0.2)
    for _, q in found:
        if np.abs(q.mean(0) - np.array(size) / 2).max() < width * 0.35:
            return (q - m[:, 2]) / k
    return quad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("reader"), ap.add_argument("detector", nargs="?")
    ap.add_argument("--split", nargs="+", default=["test"]), ap.add_argument("--index", type=Path, default=Path("../data/index.tsv"))
    ap.add_argument("--only", default=""), ap.add_argument("--errors"), ap.add_argument("--threshold", type=float, default=0.2)
    ap.add_argument("--sure", type=float, default=0.3, help="whole-picture readings less sure than this are no plate")
    ap.add_argument("--refine", type=int, default=1, help="closer looks at each plate")
    a = ap.parse_args()
    torch.set_num_threads(2)
    reader = SlotNet()
    reader.load_state_dict(torch.load(a.reader))
    x, y, _, labels, src = real.crops(a.index, *a.split)
    keep = [i for i, r in enumerate(src) if a.only in r["repo"]]
    read = texts_of(predict(reader, x[keep])[0])
    groups: dict = {}
    for i, text in zip(keep, read):
        for g in ("all", src[i]["kind"], src[i]["repo"], "colour " + (src[i]["colour"] or "?")):
            groups.setdefault(g, []).append((text == labels[i], text[1:] == labels[i][1:]))
    for g, hits in groups.items():
        print(f"read  {g:48} exact {interval(sum(h[0] for h in hits), len(hits)):38} without province {interval(sum(h[1] for h in hits), len(hits))}")
    wrong = [(x[i], labels[i], t) for i, t in zip(keep, read) if t != labels[i]]
    if a.errors and wrong:
        sheet(wrong, a.errors)
    if not a.detector:
        return
    finder = PlateFinder()
    finder.load_state_dict(torch.load(a.detector))
    finder.eval()
    groups = {}
    for r in real.rows(a.index, *a.split):
        if r["kind"] not in ("scene", "background", "foreign") or a.only not in r["repo"]:
            continue
        img = real.read(a.index, r)
        if img is None:
            continue
        small, k = real.letterbox(img)
        with torch.no_grad():
            out = finder(to_input(small[None]))[0].numpy()
        found = quads_from(out, a.threshold)
        quads = [(q / k).astype(np.float32) for _, q in found]
        for _ in range(a.refine):
            quads = [refine(finder, img, q).astype(np.float32) for q in quads]
        crops = np.stack([camera.rectify(img, q) for q in quads]) if found else None
        got = [t for t in texts_of(predict(reader, crops)[0], a.sure) if t] if found else []
        want = [t for t in r["label"].split(";") if t]
        if r["kind"] == "scene" and not want:
            continue
        ok = set(want) <= set(got) if want else not got
        ok1 = {t[1:] for t in want} <= {t[1:] for t in got} if want else not got
        for g in (r["kind"], r["kind"] + " " + r["repo"]):
            groups.setdefault(g, []).append((ok, ok1, len(found) >= max(1, len(want)) if want else not got))
    for g, hits in groups.items():
        n = len(hits)
        print(f"whole {g:48} exact {interval(sum(h[0] for h in hits), n):38} without province {interval(sum(h[1] for h in hits), n):38} found {interval(sum(h[2] for h in hits), n)}")


def sheet(wrong, path):
    """A contact sheet of misread crops: label above what was read."""
    from PIL import Image, ImageDraw, ImageFont
    try:
        font = ImageFont.truetype("NotoSansCJK-Regular.ttc", 14)
    except OSError:
        font = ImageFont.load_default()
    cols = 6
    canvas = Image.new("RGB", (cols * 170, (len(wrong) + cols - 1) // cols * 86), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (img, label, text) in enumerate(wrong):
        x0, y0 = i % cols * 170, i // cols * 86
        canvas.paste(Image.fromarray(np.ascontiguousarray(img[..., ::-1])), (x0, y0))
        draw.text((x0, y0 + 49), label, "black", font=font)
        draw.text((x0, y0 + 66), text, "red", font=font)
    canvas.save(path)


if __name__ == "__main__":
    main()
