"""Export to ONNX:

    python export.py reader READER.pt plate_reader.onnx [TEMPERATURE]
    python export.py corners CORNERS.pt plate_corners.onnx
    python export.py finder FINDER.pt plate_finder.onnx

The input's normalisation (uint8 / 255 - 0.5, BGR) is left to the caller; the
reader's outputs become log-probabilities, at the temperature that calibrate.py
found.
"""
from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import torch
from torch import nn

from corners import VIEW_H, VIEW_W, CornerNet
from net import SlotNet
from net_detect import SHAPES, PlateFinder


class LogProbs(nn.Module):
    def __init__(self, net, temperature):
        super().__init__()
        self.net, self.temperature = net, temperature

    def forward(self, x):
        chars, kind = self.net(x)
        return (chars / self.temperature).log_softmax(-1), kind.log_softmax(-1)


WHATS = {
    "reader": (SlotNet, (48, 160), ["characters", "kind"]),
    "corners": (CornerNet, (VIEW_H, VIEW_W), ["corners", "plate"]),
    "finder": (PlateFinder, SHAPES[0][::-1], ["plates"]),  # rows and columns are left open
}


def main(what, weights, out, temperature="1"):
    make, size, names = WHATS[what]
    net = make()
    net.load_state_dict(torch.load(weights))
    net = (LogProbs(net, float(temperature)) if what == "reader" else net).eval()
    x = torch.rand(1, 3, *size) - 0.5
    sizes = {"image": {2: "rows", 3: "columns"}, "plates": {2: "cell_rows", 3: "cell_columns"}} if what == "finder" else None
    torch.onnx.export(net, (x,), out, input_names=["image"], output_names=names, opset_version=17, dynamo=False,
                      do_constant_folding=True, dynamic_axes=sizes)
    got = onnxruntime.InferenceSession(out).run(None, {"image": x.numpy()})
    with torch.no_grad():
        want = net(x)
    want = want if isinstance(want, tuple) else (want,)
    for n, g, w in zip(names, got, want):
        print(n, g.shape, "largest difference", float(np.abs(g - w.numpy()).max()))


if __name__ == "__main__":
    main(*sys.argv[1:])
