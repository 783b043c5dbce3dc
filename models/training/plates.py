"""Number plates as text: alphabet, kinds, random valid numbers.

Grammar after GA 36-2018 (single source for the renderer, the trainer and the
evaluation). Kinds are the plate *layouts* a reader must tell apart, not the
GA/T 16.7 codes.
"""
from __future__ import annotations

import random

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
DIGITS = "0123456789"
SPECIAL = "O使领警学港澳挂民航应急"
BLANK = "-"
ALPHABET = PROVINCES + LETTERS + DIGITS + SPECIAL + BLANK
INDEX = {c: i for i, c in enumerate(ALPHABET)}
SLOTS = 8

KINDS = [
    "blue", "yellow", "yellow2", "green_small", "green_large", "learner",
    "trailer2", "police", "military", "armed_police", "hk_macau", "embassy",
    "consulate", "white2", "emergency", "civil_aviation",
]
DOUBLE_ROW = ("yellow2", "trailer2", "white2")
KIND_INDEX = {k: i for i, k in enumerate(KINDS)}

# How often the renderer draws each kind: far more of the rare ones than the
# road has, because a reader that has never seen one cannot know it.
KIND_WEIGHTS = {
    "blue": 46, "yellow": 8, "yellow2": 7, "green_small": 13, "green_large": 4,
    "learner": 3, "trailer2": 3, "police": 4, "military": 4, "armed_police": 2,
    "hk_macau": 3, "embassy": 1.5, "consulate": 2, "white2": 2, "emergency": 2, "civil_aviation": 1,
}


def encode(text: str) -> list[int]:
    """Plate text to SLOTS class indices; short plates end in blanks."""
    if len(text) > SLOTS:
        raise ValueError(f"{text!r} has more than {SLOTS} characters")
    return [INDEX[c] for c in text] + [INDEX[BLANK]] * (SLOTS - len(text))


def decode(classes) -> str:
    return "".join(ALPHABET[c] for c in classes).replace(BLANK, "")


def _tail(rng: random.Random, n: int, max_letters: int = 2) -> str:
    """n characters of the serial part: digits with at most max_letters letters."""
    chars = [rng.choice(DIGITS) for _ in range(n)]
    for i in rng.sample(range(n), rng.choice([0, 0, 1, 1, 1, 2][: 4 + max_letters])):
        chars[i] = rng.choice(LETTERS)
    return "".join(chars)


def random_plate(rng: random.Random, kind: str | None = None) -> tuple[str, str]:
    """A random (text, kind). Provinces are uniform: local habits are for later."""
    kind = kind or rng.choices(KINDS, [KIND_WEIGHTS[k] for k in KINDS])[0]
    province, city = rng.choice(PROVINCES), rng.choice(LETTERS)
    if rng.random() < 0.015:
        city = "O"
    if kind in ("blue", "yellow", "yellow2"):
        text = province + city + _tail(rng, 5)
    elif kind == "green_small":
        first = rng.choice("DDDDDFFFABCEGHJK")
        second = rng.choice(DIGITS * 3 + LETTERS)
        text = province + city + first + second + "".join(rng.choice(DIGITS) for _ in range(4))
    elif kind == "green_large":
        text = province + city + "".join(rng.choice(DIGITS) for _ in range(5)) + rng.choice("DDDDDFFFABCEGHJK")
    elif kind == "learner":
        text = province + city + _tail(rng, 4) + "学"
    elif kind == "trailer2":
        text = province + city + _tail(rng, 4) + "挂"
    elif kind == "police":
        text = province + city + _tail(rng, 4) + "警"
    elif kind in ("military", "white2"):
        text = rng.choice("VKHBSLJNGCEZ") + rng.choice("ABCDEFGHJKLMNORTVY" if rng.random() < 0.97 else "OP") + "".join(
            rng.choice(DIGITS) for _ in range(5))
    elif kind == "armed_police":
        text = "WJ" + province + "".join(rng.choice(DIGITS) for _ in range(4)) + rng.choice("TXBSHJD0123456789")
    elif kind == "hk_macau":
        text = "粤Z" + _tail(rng, 4) + rng.choice("港港澳")
    elif kind == "embassy":
        digits = "".join(rng.choice(DIGITS) for _ in range(6))
        text = "使" + digits if rng.random() < 0.5 else digits + "使"
    elif kind == "consulate":
        head = province + city if rng.random() < 0.8 else rng.choice(DIGITS) + rng.choice(DIGITS)
        text = head + "".join(rng.choice(DIGITS) for _ in range(4)) + "领"
    elif kind == "emergency":
        text = province + rng.choice("XS") + "".join(rng.choice(DIGITS) for _ in range(4)) + "应急"
    elif kind == "civil_aviation":
        text = "民航" + rng.choice(LETTERS) + "".join(rng.choice(DIGITS) for _ in range(4))
    else:
        raise ValueError(kind)
    return text, kind
