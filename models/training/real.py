"""Real cut-out plates (index.tsv) as arrays: python real.py OUT.npz --split train [--index index.tsv] [--corners CORNERS.pt]"""
from __future__ import annotations

import argparse
import csv
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch

import camera
import corners
import plates
from net_detect import shape_for

GREY = 90


def rows(index: Path, *splits: str):
    with open(index, encoding="utf-8", newline="") as f:
        for r in csv.DictReader(f, delimiter="\t"):
            if r["split"] in splits:
                yield r


def read(index: Path, row) -> np.ndarray | None:
    return cv2.imdecode(np.fromfile(index.parent / row["path"], np.uint8), cv2.IMREAD_COLOR)


def quads(row) -> list[np.ndarray]:
    """Corner lists 'x,y x,y x,y x,y;...' as 4 x 2 arrays (TL, TR, BR, BL)."""
    out = []
    for part in filter(None, row["corners"].split(";")):
        out.append(np.array([[float(v) for v in p.split(",")] for p in part.split()], np.float32))
    return out


def letterbox(img: np.ndarray, shape=None):
    """(picture, scale): fitted into the detector's input of that shape, or the one in which it is largest; grey below and right."""
    h, w = img.shape[:2]
    W, H = shape or shape_for(w, h)
    k = min(W / w, H / h)
    small = cv2.resize(img, (max(1, round(w * k)), max(1, round(h * k))), interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR)
    out = np.full((H, W, 3), GREY, np.uint8)
    out[: small.shape[0], : small.shape[1]] = small
    return out, k


def kind_of(label: str, colour: str) -> int:
    """Plate kind where it is certain from text and colour, else -1."""
    if len(label) == 8 and not label.startswith("WJ"):
        return plates.KIND_INDEX["green_large" if label[-1].isalpha() and label[2].isdigit() else "green_small"]
    if label.endswith("警"):
        return plates.KIND_INDEX["police"]
    if label.endswith("学"):
        return plates.KIND_INDEX["learner"]
    return plates.KIND_INDEX["blue"] if colour == "blue" else -1


def encoded(label):
    try:
        return plates.encode(label)
    except (KeyError, ValueError):
        return None


def cut_by_corners(img: np.ndarray, net) -> np.ndarray | None:
    """A cut-out plate, cut once more by the corners that the corner network finds in it."""
    h, w = img.shape[:2]
    view, m = corners.view_of(img, np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32))
    with torch.no_grad():
        at, plate = net(torch.from_numpy(view[None]).permute(0, 3, 1, 2).float() / 255 - 0.5)
    return camera.rectify(img, corners.through(np.linalg.inv(m), at[0].numpy())) if plate.item() > -2 else None


def crops(index: Path, *splits: str, by_corners=True, net=None):
    """With the corner network `net` each cut-out plate comes twice: as it is, and by its corners.

    (x N x 48 x 160 x 3, y N x 8, kinds N, labels, rows) of every labelled crop or scene plate."""
    x, y, k, labels, src = [], [], [], [], []
    for r in rows(index, *splits):
        texts = r["label"].split(";")  # an empty element: a plate nobody can read
        if r["kind"] not in ("crop", "scene") or not any(texts):
            continue
        img = read(index, r)
        if img is None:
            continue
        if r["kind"] == "crop" and not (by_corners and r["corners"]):
            views = [cv2.resize(img, (camera.CROP_W, camera.CROP_H), interpolation=cv2.INTER_AREA if img.shape[1] > camera.CROP_W else cv2.INTER_LINEAR)] if len(texts) == 1 else []
            exact = cut_by_corners(img, net) if net and views else None
            if exact is not None:
                views, texts = [*views, exact], texts * 2
        else:
            qs = quads(r)
            if len(qs) != len(texts):
                continue
            views = [camera.rectify(img, q) for q in qs]
        for view, text in zip(views, texts):
            e = encoded(text) if text else None
            if e is not None:
                x.append(view), y.append(e), k.append(kind_of(text, r["colour"])), labels.append(text), src.append(r)
    return np.stack(x), np.array(y, np.int16), np.array(k, np.int8), labels, src


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--split", nargs="+", default=["train"]), ap.add_argument("--index", type=Path, default=Path("../data/index.tsv"))
    ap.add_argument("--corners", help="the corner network's weights")
    ap.add_argument("--hold-out", type=int, default=0, help="one number in so many goes to OUT.dev.npz")
    a = ap.parse_args()
    net = None
    if a.corners:
        net = corners.CornerNet().eval()
        net.load_state_dict(torch.load(a.corners))
    x, y, k, labels, _ = crops(a.index, *a.split, net=net)
    # By number, so that no number stands on both sides.
    apart = np.array([bool(a.hold_out) and zlib.crc32(t.encode()) % a.hold_out == 0 for t in labels])
    np.savez(a.out, x=x[~apart], y=y[~apart], k=k[~apart])
    if a.hold_out:
        np.savez(a.out.removesuffix(".npz") + ".dev.npz", x=x[apart], y=y[apart], k=k[apart])
    print(len(x), "crops,", len(set(labels)), "numbers,", int(apart.sum()), "crops held out")


if __name__ == "__main__":
    main()
