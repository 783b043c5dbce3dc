#!/usr/bin/env python3
"""Draws the pictures of the wiring book. Run it in this folder; it needs nothing but Python.

Every label is Chinese and English, so one set of pictures serves both books. Lengths are pixels.
A text that would leave its sheet or its box is an error, so that nothing is cut off unnoticed.
"""

import unicodedata
from html import escape
from pathlib import Path

STYLE = """
text { font-family: "WenQuanYi Micro Hei", "Noto Sans CJK SC", sans-serif; fill: #1a1a1a; }
.box { stroke: #333; stroke-width: 1.6; }
.thin { stroke: #333; stroke-width: 1.6; fill: none; }
.sig { stroke: #1660b8; stroke-width: 2.2; fill: none; }
.add { stroke: #1660b8; stroke-width: 2; fill: none; stroke-dasharray: 7 4; }
.field { stroke: #14803c; stroke-width: 2.4; fill: none; }
.plus { stroke: #c62828; stroke-width: 2.2; fill: none; }
.zero { stroke: #111; stroke-width: 2.2; fill: none; }
.mains { stroke: #8a4b00; stroke-width: 3; fill: none; }
.bad { stroke: #d00000; stroke-width: 5; fill: none; stroke-linecap: round; }
.guide { stroke: #999; stroke-width: 1.2; fill: none; stroke-dasharray: 3 4; }
"""
PALE = {"blue": "#e8f1fb", "green": "#e6f4ea", "red": "#fdeaea", "grey": "#f1f1f1",
        "yellow": "#fff7dc", "white": "#ffffff", "brown": "#f6ead9", "road": "#d9d9d9"}
GREY, RED, BLUE, GREEN = "#555", "#c00000", "#1660b8", "#14803c"


def width_of(text, size):
    """A generous estimate of a text's width."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return size * (wide + 0.57 * (len(text) - wide))


class Sheet:
    """One picture."""

    def __init__(self, name, width, height, zh, en):
        self.name, self.width, self.height = name, width, height
        self.parts = []
        self.alt = f"{zh} / {en}"
        self.text(20, 30, zh, 19, weight="bold")
        self.text(20, 50, en, 14, GREY)

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, text, size=13, fill=None, anchor="start", weight=None, room=None):
        wide = width_of(text, size)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[anchor]
        if left < 2 or left + wide > self.width - 2 or not size <= y <= self.height - 2:
            raise ValueError(f"{self.name}: {text!r} leaves the sheet")
        if room is not None and wide > room:
            raise ValueError(f"{self.name}: {text!r} needs {wide:.0f} of {room}")
        more = f' fill="{fill}" style="fill:{fill}"' if fill else ""
        more += f' text-anchor="{anchor}"' if anchor != "start" else ""
        more += f' font-weight="{weight}"' if weight else ""
        self.add(f'<text x="{x:g}" y="{y:g}" font-size="{size}"{more}>{escape(text)}</text>')

    def both(self, x, y, zh, en, anchor="start", fill=None, room=None, size=14):
        """Chinese, and below it English."""
        self.text(x, y, zh, size, fill, anchor, room=room)
        self.text(x, y + size + 1, en, size - 2.5, fill or GREY, anchor, room=room)

    def box(self, x, y, w, h, zh="", en="", pale="white", top=False, size=14):
        self.add(f'<rect class="box" x="{x}" y="{y}" width="{w}" height="{h}" rx="5" '
                 f'fill="{PALE[pale]}"/>')
        if zh:
            at = y + 20 if top else y + h / 2 - 2
            self.both(x + w / 2, at, zh, en, "middle", room=w - 6, size=size)

    def wire(self, kind, *points):
        at = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.add(f'<polyline class="{kind}" points="{at}"/>')

    def dot(self, x, y):
        self.add(f'<circle cx="{x}" cy="{y}" r="3.6" fill="#111"/>')

    def terminal(self, x, y, label="", fill=None):
        self.add(f'<circle class="thin" cx="{x}" cy="{y}" r="5" style="fill:#fff"/>')
        if label:
            self.text(x + 10, y + 5, label, 13, fill)

    def contact(self, x, y, closed=False, kind="field"):
        """A horizontal contact from x to x + 60, drawn at rest."""
        self.wire(kind, (x, y), (x + 16, y))
        self.wire(kind, (x + 44, y), (x + 60, y))
        if closed:
            self.wire(kind, (x + 44, y), (x + 44, y - 14))
            self.wire(kind, (x + 16, y), (x + 50, y - 12))
        else:
            self.wire(kind, (x + 16, y), (x + 42, y - 16))
        for at in (x + 16, x + 44):
            self.dot(at, y)

    def contact_down(self, x, y, closed=False, kind="zero"):
        """A vertical contact from y to y + 60, drawn at rest."""
        self.wire(kind, (x, y), (x, y + 16))
        self.wire(kind, (x, y + 44), (x, y + 60))
        if closed:
            self.wire(kind, (x, y + 44), (x + 14, y + 44))
            self.wire(kind, (x, y + 16), (x + 12, y + 50))
        else:
            self.wire(kind, (x, y + 16), (x + 16, y + 42))
        for at in (y + 16, y + 44):
            self.dot(x, at)

    def coil(self, x, y, label, w, h):
        """A coil around (x, y)."""
        self.add(f'<rect class="box" x="{x - w / 2}" y="{y - h / 2}" width="{w}" height="{h}" '
                 'fill="#fff"/>')
        self.text(x, y + 5, label, 13, anchor="middle", room=w)

    def resistor(self, x, y, label="", down=False):
        w, h = (12, 32) if down else (32, 12)
        self.add(f'<rect class="box" x="{x - w / 2}" y="{y - h / 2}" width="{w}" height="{h}" '
                 'fill="#fff"/>')
        if label:
            self.text(x, y - 11, label, 12, anchor="middle")

    def fuse(self, x, y, label):
        """A fuse in a horizontal wire, around (x, y)."""
        self.add(f'<rect class="box" x="{x - 17}" y="{y - 6}" width="34" height="12" fill="#fff"/>')
        self.wire("plus", (x - 17, y), (x + 17, y))
        self.text(x, y - 11, label, 12, anchor="middle")

    def diode_up(self, x, y):
        """A diode around (x, y) that conducts upwards."""
        self.add(f'<path class="thin" d="M{x - 8} {y + 7}L{x + 8} {y + 7}L{x} {y - 7}Z" '
                 'style="fill:#fff"/>')
        self.wire("thin", (x - 8, y - 7), (x + 8, y - 7))

    def diode_down(self, x, y, led=False):
        """A diode around (x, y) that conducts downwards."""
        self.add(f'<path class="thin" d="M{x - 8} {y - 7}L{x + 8} {y - 7}L{x} {y + 7}Z" '
                 'style="fill:#fff"/>')
        self.wire("thin", (x - 8, y + 7), (x + 8, y + 7))
        if led:
            self.arrows(x + 10, y - 4)

    def arrows(self, x, y):
        """The light of an LED."""
        for down in (0, 8):
            self.add(f'<path class="thin" d="M{x} {y + down}l12 -4m-4 -2l4 2l-3 4" '
                     'style="stroke-width:1.2"/>')

    def cross(self, x, y, half=12):
        self.wire("bad", (x - half, y - half), (x + half, y + half))
        self.wire("bad", (x - half, y + half), (x + half, y - half))

    def code(self, x, y, text, size=12):
        self.add(f'<rect x="{x - 5}" y="{y - size - 2}" width="{0.9 * width_of(text, size) + 12:.0f}" '
                 f'height="{size + 9}" rx="3" fill="#eef0f2"/>')
        self.text(x, y, text, size)

    def twisted(self, x, y, turns, step=22, kind="field"):
        """Two twisted wires from x to the right, 12 apart."""
        up, down = f"M{x} {y}", f"M{x} {y + 12}"
        for i in range(turns):
            a, b = (12, -12) if i % 2 == 0 else (-12, 12)
            up += f"c{step / 2} 0 {step / 2} {a} {step} {a}"
            down += f"c{step / 2} 0 {step / 2} {b} {step} {b}"
        for path in (up, down):
            self.add(f'<path class="{kind}" d="{path}"/>')
        return x + turns * step

    def save(self):
        text = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img">\n'
                f"<title>{escape(self.alt)}</title>\n<style>{STYLE}</style>\n"
                f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")
        Path(__file__).with_name(self.name).write_text(text, encoding="utf-8")


def overview():
    s = Sheet("overview.svg", 1000, 690, "总图：什么接在哪里", "The whole: what goes where")
    s.box(300, 130, 200, 210, "树莓派 + 门神", "Raspberry Pi with Menshen", "blue", top=True)
    s.box(300, 68, 200, 42, "5.1 V 电源", "5.1 V supply", "red", size=13)
    s.wire("plus", (400, 110), (400, 130))
    s.box(20, 130, 190, 52, "摄像机", "camera", "grey")
    s.wire("thin", (210, 156), (300, 156))
    s.text(255, 150, "网线", 12, anchor="middle")
    s.text(255, 172, "Ethernet", 11, GREY, "middle")
    s.box(20, 205, 190, 52, "闸前地感检测器", "arrival loop detector", "grey")
    s.wire("add", (210, 231), (300, 231))
    s.box(20, 275, 190, 44, "12/24 V 电源（检测器）", "12/24 V supply (detector)", "red", size=13)
    s.wire("plus", (115, 275), (115, 257))
    s.text(310, 236, "GPIO 23", 12)
    s.text(490, 236, "GPIO 17", 12, anchor="end")
    s.box(570, 180, 150, 100, "继电器板", "relay board", "yellow", top=True)
    s.wire("sig", (500, 231), (570, 231))
    s.text(577, 236, "IN", 12)
    s.text(713, 236, "NO", 12, anchor="end")
    s.text(713, 266, "COM", 12, anchor="end")
    s.box(800, 130, 180, 530, "道闸控制器", "barrier controller", "green", top=True)
    s.box(800, 68, 180, 42, "220 V，只由电工接", "mains, electrician only", "brown", size=13)
    s.wire("mains", (890, 110), (890, 130))
    for y, name in ((231, "开 OPEN"), (261, "公共 COM")):
        s.wire("sig", (720, y), (800, y))
        s.terminal(800, y, name)
    s.both(810, 292, "只给一个无源脉冲", "one volt-free pulse", fill=BLUE, size=12, room=165)
    s.text(810, 321, "没有 CLOSE 线", 12, BLUE)
    s.text(810, 335, "no CLOSE wire", 9.5, BLUE)
    rows = (
        (375, "门卫开闸按钮", "guard's OPEN button", "开 OPEN", 335),
        (445, "消防联动触点", "fire contact", "消防 FIRE", 395),
        (515, "急停按钮", "STOP button", "停 STOP", 455),
    )
    for y, zh, en, name, pin in rows:
        s.box(20, y, 190, 52, zh, en, "grey")
        s.wire("add", (210, y + 14), (pin, y + 14), (pin, 340))
        s.wire("field", (210, y + 38), (800, y + 38))
        s.terminal(800, y + 38, name)
    for pin, name in ((335, "24"), (395, "25"), (455, "27")):
        s.text(pin, 334, name, 12, anchor="middle")
    s.text(395, 316, "GPIO", 12, anchor="middle")
    s.box(520, 590, 200, 60, "闸下地感、光电、限位", "safety loop, beam, limits", "grey")
    s.wire("field", (720, 620), (800, 620))
    s.terminal(800, 620, "防砸、限位")
    s.text(810, 641, "safety and limits", 11, GREY)
    s.wire("field", (20, 608), (70, 608))
    s.both(80, 608, "门神断电也有效：必须接", "works without Menshen: must be there")
    s.wire("add", (20, 648), (70, 648))
    s.both(80, 648, "接到门神的输入：补充，不能代替上面的线", "inputs of Menshen: an addition, never instead")
    s.save()


def open_contact():
    s = Sheet("open-contact.svg", 1000, 500, "无源触点接到控制器的 开/公共 端子",
              "A volt-free contact into the controller's OPEN and COM terminals")
    s.box(20, 90, 170, 190, "树莓派", "Raspberry Pi", "blue", top=True)
    s.box(260, 90, 230, 190, "继电器板", "relay board", "yellow", top=True)
    s.wire("sig", (190, 185), (285, 185))
    s.text(180, 190, "GPIO 17", 13, anchor="end")
    s.coil(310, 185, "K1", 50, 34)
    s.wire("guide", (335, 185), (388, 185))
    s.dot(400, 185)
    s.wire("field", (400, 185), (432, 160))
    for y, name in ((145, "NC"), (185, "COM"), (225, "NO")):
        s.terminal(490, y)
        s.text(478, y + 5, name, 13, anchor="end")
    s.wire("field", (400, 185), (440, 185))
    s.wire("guide", (432, 160), (436, 145), (452, 145))
    s.wire("guide", (440, 225), (452, 225))
    s.cross(530, 145, 9)
    s.both(548, 141, "NC 空着", "NC stays empty", fill=RED, size=13)
    end = s.twisted(495, 196, 10, kind="field")
    s.wire("field", (495, 185), (495, 196))
    s.wire("field", (495, 225), (495, 208))
    s.wire("field", (end, 196), (745, 196), (745, 165), (780, 165))
    s.wire("field", (end, 208), (780, 208))
    s.both(520, 236, "双绞线，不与 220 V 同管", "twisted pair, not in the mains conduit", size=13)
    s.box(780, 90, 200, 390, "道闸控制器", "barrier controller", "green", top=True)
    for y, name in ((165, "公共 COM"), (208, "开 OPEN (NO)")):
        s.terminal(780, y, name)
    for y, name in ((258, "关 CLOSE"), (293, "停 STOP")):
        s.terminal(780, y, name)
    s.cross(752, 258, 8)
    s.cross(752, 293, 8)
    s.both(735, 272, "门神不接这两个", "Menshen: none of these", "end", fill=RED, size=13)
    s.both(795, 335, "控制器自己的：", "the controller's own:", fill=GREEN, size=13)
    for i, (zh, en) in enumerate((("自动落杆", "closing"), ("限位", "limits"),
                                  ("防砸：地感、光电、遇阻", "loop, beam, obstacle"))):
        s.both(805, 372 + 36 * i, "· " + zh, en, size=13, room=175)
    s.both(20, 330, "一次开闸 = 一个脉冲", "one opening = one pulse", size=14)
    s.wire("sig", (20, 440), (90, 440), (90, 385), (230, 385), (230, 440), (420, 440))
    s.wire("guide", (90, 385), (90, 460))
    s.wire("guide", (230, 385), (230, 460))
    s.text(160, 377, "500 ms", 13, anchor="middle")
    s.text(160, 462, "200 – 1000 ms", 12, GREY, "middle")
    s.both(245, 395, "吸合时 COM-NO 接通", "energised: COM to NO closed", size=12)
    s.both(440, 345, "触点里的电压来自控制器，", "The voltage on the contact comes from", size=13)
    s.both(440, 377, "门神一侧不加任何电源", "the controller; Menshen adds none", size=13)
    s.both(440, 425, "量：端子间只有几伏到 24 V 直流，", "Measure: a few volts to 24 V DC;", size=13)
    s.both(440, 457, "见到 220 V 就停手，叫电工", "at mains voltage stop, call an electrician", size=13)
    s.save()


def relay_boards():
    s = Sheet("relay-boards.svg", 1000, 720, "继电器板的三种接法", "Three ways to wire a relay board")
    # A: active-low, opto-isolated
    s.both(20, 85, "A 低电平吸合，光耦隔离，拔掉 JD-VCC 跳帽", "active-low, opto-isolated, JD-VCC jumper removed")
    s.box(20, 120, 150, 190, "树莓派", "Raspberry Pi", "blue", top=True)
    s.text(160, 195, "3V3 (1)", 12, anchor="end")
    s.text(160, 255, "GPIO 5 (29)", 12, anchor="end")
    s.box(260, 120, 440, 190, "", "", "yellow")
    s.wire("plus", (170, 190), (300, 190))
    s.text(268, 183, "VCC", 12)
    s.resistor(316, 190, "1k")
    s.wire("thin", (332, 190), (370, 190), (370, 250))
    s.diode_down(370, 220, led=True)
    s.wire("sig", (170, 250), (370, 250))
    s.text(268, 243, "IN", 12)
    s.both(345, 278, "光耦", "opto-coupler", size=12)
    s.add('<circle class="thin" cx="430" cy="220" r="17"/>')
    s.wire("thin", (424, 208), (424, 232))
    s.wire("thin", (424, 214), (440, 205), (440, 165), (470, 165))
    s.wire("thin", (424, 226), (440, 235), (440, 251), (545, 251))
    s.wire("plus", (470, 165), (700, 165))
    s.text(692, 158, "JD-VCC", 12, anchor="end")
    s.wire("thin", (580, 165), (580, 186))
    s.coil(580, 200, "K1", 50, 28)
    s.wire("thin", (580, 214), (580, 236))
    s.wire("thin", (580, 177), (635, 177), (635, 224), (580, 224))
    s.diode_up(635, 200)
    s.box(545, 236, 70, 32, "三极管", "driver", size=11)
    s.wire("zero", (580, 268), (580, 290), (700, 290))
    s.text(692, 284, "GND", 12, anchor="end")
    s.wire("plus", (700, 165), (780, 165))
    s.wire("zero", (700, 290), (780, 290))
    s.box(780, 140, 200, 170, "线圈用的 5 V 电源", "a 5 V supply for coils", "red")
    s.both(790, 265, "不与树莓派共地", "no common ground with the Pi", size=12, room=185)
    s.code(20, 340, 'relay = { driver = "gpiochip", line = 5, active_low = true }')
    s.both(520, 340, "上电时为上拉的脚（0–8）：启动时不动作", "a pin pulled up at power-on (0 to 8): quiet while booting", size=13)
    s.wire("guide", (20, 375), (980, 375))
    # B: active-high
    s.both(20, 405, "B 高电平吸合，3.3 V 触发", "active-high, triggered by 3.3 V")
    s.box(20, 440, 150, 150, "树莓派", "Raspberry Pi", "blue", top=True)
    for y, pin, name, kind in ((495, "5V (2)", "VCC", "plus"), (530, "GPIO 17 (11)", "IN", "sig"),
                               (565, "GND (6)", "GND", "zero")):
        s.text(160, y + 5, pin, 12, anchor="end")
        s.wire(kind, (170, y), (260, y))
        s.text(268, y + 5, name, 12)
    s.box(260, 440, 190, 150, "继电器模块", "relay module", "yellow", top=True)
    for y, name in ((495, "VCC"), (530, "IN"), (565, "GND")):
        s.text(268, y + 5, name, 12)
    s.resistor(215, 548, down=True)
    s.both(178, 604, "10 kΩ 下拉（可加）", "10 kΩ to GND (optional)", size=12)
    s.wire("guide", (215, 567), (215, 590))
    s.terminal(450, 515)
    s.terminal(450, 550)
    s.text(440, 520, "COM", 12, anchor="end")
    s.text(440, 555, "NO", 12, anchor="end")
    s.code(20, 640, 'relay = { driver = "gpiochip", line = 17 }')
    s.both(20, 670, "上电时为下拉的脚（9–27）", "a pin pulled down at power-on (9 to 27)", size=13)
    s.wire("guide", (500, 385), (500, 700))
    # C: USB
    s.both(520, 405, "C USB 继电器板（LCUS-1 一类，CH340）", "a USB board of the LCUS-1 kind (CH340)")
    s.box(520, 440, 150, 150, "小主机或树莓派", "small PC or Pi", "blue", top=True)
    s.box(760, 440, 190, 150, "USB 继电器板", "USB relay board", "yellow", top=True)
    s.wire("sig", (670, 530), (760, 530))
    s.text(715, 522, "USB", 12, anchor="middle")
    s.terminal(950, 515)
    s.terminal(950, 550)
    s.text(940, 520, "COM", 12, anchor="end")
    s.text(940, 555, "NO", 12, anchor="end")
    s.code(520, 640, 'relay = { driver = "serial", port = "/dev/ttyUSB0", channel = 1 }')
    s.both(520, 670, "只由 USB 供电：拔掉或断电，触点就断开。没有输入", "fed by USB alone: it drops out when unplugged. No inputs", size=13)
    s.save()


def inputs():
    s = Sheet("inputs.svg", 1000, 740, "输入的四种接法", "Four ways to wire an input")
    s.wire("guide", (500, 65), (500, 730))
    s.wire("guide", (20, 390), (980, 390))

    def pi(x, y, pin):
        s.box(x, y, 150, 150, "树莓派", "Raspberry Pi", "blue", top=True)
        s.wire("thin", (x + 110, y + 60), (x + 110, y + 68))
        s.resistor(x + 110, y + 84, down=True)
        s.text(x + 98, y + 62, "3V3", 11, anchor="end")
        s.text(x + 100, y + 80, "上拉", 11, GREY, "end")
        s.text(x + 100, y + 93, "pull-up", 10, GREY, "end")
        s.wire("thin", (x + 110, y + 100), (x + 110, y + 110), (x + 150, y + 110))
        s.text(x + 100, y + 114, pin, 12, anchor="end")
        s.text(x + 140, y + 140, "GND", 12, anchor="end")

    # 1
    s.both(20, 85, "1 常开触点（短线，同一机箱）", "normally open, short wire, same cabinet")
    pi(20, 125, "GPIO 24")
    s.wire("sig", (170, 235), (260, 235))
    s.contact(260, 235)
    s.wire("zero", (320, 235), (360, 235), (360, 260), (170, 260))
    s.both(250, 180, "按下 = 低电平 = 动作", "pressed: low: active", size=13)
    s.code(20, 310, "guard_button = { line = 24 }")
    s.both(20, 345, "断线不会被发现", "a broken wire goes unnoticed", fill=RED, size=13)
    # 2
    s.both(520, 85, "2 常闭触点：消防、急停", "normally closed: fire, STOP")
    pi(520, 125, "GPIO 25")
    s.wire("sig", (670, 235), (760, 235))
    s.contact(760, 235, closed=True)
    s.wire("zero", (820, 235), (860, 235), (860, 260), (670, 260))
    s.cross(716, 235, 9)
    s.both(730, 165, "断线 = 高电平 = 动作", "broken wire: high: active", size=13)
    s.code(520, 310, "fire = { line = 25, normally_closed = true }")
    s.both(520, 345, "断线会动作；两根线短接则看不出来", "a break acts; a short between the wires is not seen", size=13)
    # 3
    s.both(20, 415, "3 长线、室外：24 V 回路 + 光耦", "long or outdoor wire: 24 V loop and opto-coupler")
    pi(20, 455, "GPIO 25")
    s.box(225, 470, 130, 150, "光耦模块", "opto module", "yellow", top=True)
    s.wire("sig", (170, 565), (260, 565))
    s.wire("zero", (170, 590), (260, 590))
    s.add('<circle class="thin" cx="262" cy="577" r="17"/>')
    s.wire("thin", (268, 566), (268, 589))
    s.wire("thin", (257, 565), (268, 572))
    s.wire("thin", (257, 590), (268, 583))
    s.wire("thin", (337, 540), (337, 600))
    s.diode_down(337, 575)
    s.add('<path class="thin" d="M324 570l-14 3m4 -4l-4 4l5 2M324 580l-14 3m4 -4l-4 4l5 2" style="stroke-width:1.2"/>')
    s.wire("zero", (337, 600), (337, 632), (480, 632))
    s.resistor(337, 532, down=True)
    s.wire("field", (337, 516), (337, 505), (400, 505))
    s.contact(400, 505, closed=True)
    s.wire("plus", (460, 505), (480, 505))
    s.text(488, 492, "+24 V", 12, anchor="end")
    s.text(488, 648, "0 V", 12, anchor="end")
    s.both(370, 545, "5–10 mA 的回路，", "5 to 10 mA keep the", size=12)
    s.both(370, 577, "触点和长线才可靠", "contact and wire reliable", size=12)
    s.code(20, 668, "fire = { line = 25, normally_closed = true }")
    s.both(20, 700, "光耦导通 = 低电平；24 V 断电也等于动作", "conducting: low; loss of the 24 V acts too", size=13)
    # 4
    s.both(520, 415, "4 地感、雷达、光电的继电器输出", "relay outputs of loops, radars and beams")
    x0, y0 = 520, 455
    cols = (0, 150, 305)
    s.add(f'<rect x="{x0}" y="{y0}" width="460" height="42" fill="{PALE["grey"]}"/>')
    s.both(x0 + cols[1], y0 + 18, "fail-safe，平时闭", "contact closed at rest", size=13, room=150)
    s.both(x0 + cols[2], y0 + 18, "fail-secure，平时开", "contact open at rest", size=13, room=155)
    rows = (
        ("无车", "no vehicle", "闭 closed", "开 open"),
        ("有车", "vehicle", "开 open", "闭 closed"),
        ("断电、线圈断", "power or loop lost", "开 = 有车", "开 = 无车"),
        ("到门神的线断", "wire to Menshen cut", "开 = 有车", "开 = 无车"),
    )
    for i, (zh, en, a, b) in enumerate(rows):
        y = y0 + 66 + 40 * i
        s.both(x0, y, zh, en, size=13)
        s.text(x0 + cols[1], y + 6, a, 13)
        s.text(x0 + cols[2], y + 6, b, 13)
        s.wire("guide", (x0, y + 22), (x0 + 460, y + 22))
    s.code(x0, 684, "{ line = 23, normally_closed = true }", 11)
    s.code(x0 + cols[2], 684, "{ line = 23 }", 11)
    s.both(x0, 714, "到 stuck_after 报故障", "reported after stuck_after", size=13)
    s.both(x0 + cols[2], 714, "故障看不见", "failure is silent", size=13, fill=RED)
    s.save()


def loops():
    s = Sheet("loops.svg", 1000, 520, "地感：线圈、馈线、检测器、两个触点", "Loops: coil, feeder, detector, two contacts")
    s.add(f'<rect x="20" y="80" width="960" height="150" fill="{PALE["road"]}"/>')
    s.text(960, 104, "小区内 inside →", 12, GREY, "end")
    s.text(40, 104, "← 小区外 outside", 12, GREY)
    s.add('<rect x="648" y="78" width="14" height="158" fill="#d33"/>')
    for y in range(84, 230, 40):
        s.add(f'<rect x="648" y="{y}" width="14" height="18" fill="#fff"/>')
    s.both(655, 252, "闸杆", "boom", "middle", size=13)
    for x, zh, en in ((300, "闸前地感", "arrival loop"), (580, "闸下地感", "safety loop")):
        for d in (0, 6):
            s.add(f'<path class="field" d="M{x + 16 + d} {115 + d}h{120 - 2 * d}l14 14v{60 - 2 * d}l-14 14'
                  f'h-{120 - 2 * d}l-14 -14v-{60 - 2 * d}z"/>')
    s.both(376, 155, "闸前地感", "arrival loop", "middle")
    s.text(610, 150, "闸下", 13)
    s.text(610, 165, "地感", 13)
    s.text(608, 180, "safety", 11, GREY)
    s.both(60, 155, "切角 45°，离大块金属远些", "corners cut at 45°, away from metal", size=13)
    for x in (370, 700):
        s.wire("field", (x - 4, 203), (x - 4, 236))
        s.wire("field", (x + 8, 203), (x + 8, 236))
    # feeders twist downwards
    for x in (366, 696):
        left, right = f"M{x} 236", f"M{x + 12} 236"
        for i in range(5):
            a, b = (12, -12) if i % 2 == 0 else (-12, 12)
            left += f"c0 6 {a} 6 {a} 12"
            right += f"c0 6 {b} 6 {b} 12"
        for p in (left, right):
            s.add(f'<path class="field" d="{p}"/>')
        s.wire("field", (x, 296), (x, 315))
        s.wire("field", (x + 12, 296), (x + 12, 315))
    s.both(120, 268, "馈线：每米至少绞 20 次，单独走管", "feeder: 20 twists a metre or more, its own conduit", size=13)
    s.box(300, 315, 150, 70, "检测器 1", "detector 1", "yellow")
    s.box(660, 315, 150, 70, "检测器 2", "detector 2", "yellow")
    s.box(60, 420, 240, 80, "门神 arrival_loop", "Menshen, presence mode", "blue")
    s.wire("add", (340, 385), (340, 460), (300, 460))
    s.both(350, 420, "存在方式", "presence", size=13)
    s.box(640, 430, 190, 70, "道闸控制器 防砸", "the controller's SAFETY", "green")
    s.wire("field", (735, 385), (735, 430))
    s.both(745, 405, "触点 A（必须）", "contact A (must)", size=13)
    s.box(400, 430, 190, 70, "门神 safety_loop", "Menshen: only watched", "blue")
    s.wire("add", (680, 385), (680, 410), (495, 410), (495, 430))
    s.both(500, 385, "触点 B（可选）", "contact B (optional)", size=13)
    s.save()


def supplies():
    s = Sheet("supplies.svg", 1000, 620, "电源：分开、熔断、吸收", "Supplies: apart, fused, quenched")
    s.box(20, 90, 150, 60, "220 V 配电箱", "mains board", "brown")
    s.both(20, 172, "漏保、空开、接地", "RCD, breaker, earth", size=13)
    s.text(20, 206, "只由电工接", 13, RED)
    s.text(20, 221, "electrician only", 10.5, RED)
    s.wire("mains", (170, 105), (230, 105))
    s.wire("mains", (205, 105), (205, 300), (230, 300))
    s.box(230, 80, 170, 55, "5.1 V 3 A / 5 A", "Pi 4 / Pi 5", "red")
    s.wire("plus", (400, 105), (560, 105))
    s.box(560, 80, 180, 55, "树莓派", "Raspberry Pi", "blue")
    s.text(475, 98, "USB-C", 12, anchor="middle")
    s.box(230, 270, 170, 60, "12 或 24 V 直流", "12 or 24 V DC", "red")
    s.wire("plus", (400, 285), (560, 285))
    s.fuse(432, 285, "1 A")
    s.box(560, 265, 180, 55, "地感检测器、光电", "detectors, beams", "grey")
    s.wire("plus", (470, 285), (470, 360), (560, 360))
    s.dot(470, 285)
    s.fuse(502, 360, "0.5 A")
    s.box(560, 340, 180, 45, "输入回路（光耦）", "input loops (opto)", "grey", size=13)
    s.wire("zero", (400, 315), (430, 315), (430, 400), (650, 400), (650, 385))
    s.text(440, 395, "0 V", 12)
    s.wire("zero", (542, 400), (542, 310), (560, 310))
    s.dot(542, 400)
    s.wire("guide", (220, 200), (760, 200))
    s.both(490, 180, "两边的 0 V 不连：触点和光耦不需要共地", "the two 0 V stay apart: contacts and optos need no common", "middle", size=13)
    s.both(490, 225, "只有直接进 GPIO 的触点用树莓派的 GND", "only contacts straight into a GPIO use the Pi's GND", "middle", size=13)
    s.box(790, 80, 190, 110, "UPS / UPS HAT", "or PoE+ HAT", "grey", top=True)
    s.both(800, 140, "保登记和记录；", "keeps records safe;", size=12)
    s.text(800, 172, "断电不动作，也不保障开闸", 11.5)
    s.text(800, 185, "never moves the boom", 9.5, GREY)
    s.box(790, 270, 190, 115, "室外线入口", "outdoor cable entry", "grey", top=True)
    s.both(800, 325, "气体管 + TVS，接地要短", "GDT and TVS, short earth", size=12)
    s.both(800, 357, "网线用网络防雷器", "surge unit for Ethernet", size=12)
    s.wire("guide", (20, 430), (980, 430))
    # coils
    s.both(20, 460, "直流线圈：并联二极管", "DC coil: a diode across it")
    s.wire("plus", (40, 520), (160, 520))
    s.text(40, 513, "+24 V", 12)
    s.contact(60, 520, kind="plus")
    s.wire("plus", (120, 520), (200, 520), (200, 537))
    s.coil(200, 552, "K", 46, 30)
    s.wire("zero", (200, 567), (200, 590), (40, 590))
    s.text(40, 606, "0 V", 12)
    s.wire("thin", (200, 525), (255, 525), (255, 580), (200, 580))
    s.diode_up(255, 552)
    s.both(275, 540, "阴极（环）朝 +", "ring to plus", size=12)
    s.text(275, 580, "1N4007", 12)
    s.both(400, 460, "交流线圈：并联 RC", "AC coil: an RC across it")
    s.wire("mains", (410, 520), (480, 520), (480, 537))
    s.coil(480, 552, "KM", 46, 30)
    s.wire("mains", (480, 567), (480, 590), (410, 590))
    s.wire("thin", (480, 525), (540, 525), (540, 532))
    s.resistor(540, 546, down=True)
    s.wire("thin", (540, 562), (540, 567))
    s.wire("thin", (528, 567), (552, 567))
    s.wire("thin", (528, 573), (552, 573))
    s.wire("thin", (540, 573), (540, 583), (480, 583))
    s.text(560, 550, "100 Ω + 0.1 µF X2", 12)
    s.text(560, 568, "成品 RC 吸收器", 12)
    s.text(560, 583, "a ready-made snubber", 10, GREY)
    s.both(740, 460, "道闸控制器的 开/公共", "the controller's OPEN and COM")
    s.both(740, 505, "电子输入，不用二极管。", "an electronic input: no diode.", size=13)
    s.both(740, 540, "门神的触点不直接带线圈，", "Menshen's contact drives no coil;", size=13)
    s.both(740, 575, "要带就加中间继电器", "if it must, add a relay between", size=13)
    s.save()


PINS = [  # header pin, name, Chinese, English; GPIO pins follow the functions one meets there
    ("3V3", "5V"), (2, "5V"), (3, "GND"), (4, 14), ("GND", 15), (17, 18), (27, "GND"), (22, 23),
    ("3V3", 24), (10, "GND"), (9, 25), (11, 8), ("GND", 7), (0, 1), (5, "GND"), (6, 12),
    (13, "GND"), (19, 16), (26, 20), ("GND", 21),
]
FUNCTIONS = {
    0: ("HAT EEPROM", "avoid"), 1: ("HAT EEPROM", "avoid"),
    2: ("I2C SDA, 1.8 kΩ", "avoid"), 3: ("I2C SCL, 1.8 kΩ", "avoid"), 4: ("1-Wire, GPCLK", "mind"),
    5: ("", "low"), 6: ("", "low"), 7: ("SPI CE1", "mind"), 8: ("SPI CE0", "mind"),
    9: ("SPI MISO", "mind"), 10: ("SPI MOSI", "mind"), 11: ("SPI SCLK", "mind"),
    12: ("PWM", "high"), 13: ("PWM", "high"), 14: ("UART TXD", "avoid"), 15: ("UART RXD", "avoid"),
    16: ("", "high"), 17: ("", "high"), 18: ("PCM, PWM", "mind"), 19: ("PCM", "mind"),
    20: ("PCM", "mind"), 21: ("PCM", "mind"), 22: ("", "high"), 23: ("", "high"),
    24: ("", "high"), 25: ("", "high"), 26: ("", "high"), 27: ("", "high"),
}
SUITS = {"low": "宜低电平板 active-low", "high": "宜高电平板 active-high",
         "mind": "先关掉该功能 free it first", "avoid": "不用 avoid"}


def header():
    s = Sheet("header.svg", 860, 880, "40 针排针：复位后的上下拉（Pi 4、Pi 5）",
              "The 40-pin header: pulls after reset (Pi 4, Pi 5)")
    legend = (("#f7b2ad", "上拉 pulled up"), ("#a9cdf2", "下拉 pulled down"),
              ("#d8d8d8", "GND"), ("#ffe08a", "电源 supply"))
    for i, (colour, name) in enumerate(legend):
        s.add(f'<rect class="box" x="{20 + 190 * i}" y="66" width="22" height="16" fill="{colour}"/>')
        s.text(48 + 190 * i, 79, name, 13)
    for row, pair in enumerate(PINS):
        y = 100 + row * 36
        for side, name in enumerate(pair):
            number = row * 2 + 1 + side
            x = 392 + side * 40
            if name in ("3V3", "5V"):
                colour, label = "#ffe08a", name
            elif name == "GND":
                colour, label = "#d8d8d8", "GND"
            else:
                colour = "#f7b2ad" if name <= 8 else "#a9cdf2"
                label = f"GPIO {name}"
            s.add(f'<rect class="box" x="{x}" y="{y}" width="36" height="32" rx="4" fill="{colour}"/>')
            s.text(x + 18, y + 21, str(number), 14, anchor="middle")
            anchor, at, step = ("end", 384, -1) if side == 0 else ("start", 476, 1)
            if isinstance(name, str):
                s.text(at, y + 21, label, 13, GREY, anchor)
                continue
            function, suits = FUNCTIONS[name]
            text = label + (f"  {function}" if function else "")
            s.text(at, y + 15, text, 13, None, anchor, "bold" if suits in ("low", "high") else None)
            s.text(at, y + 29, SUITS[suits], 11, RED if suits == "avoid" else GREY, anchor)
    s.both(20, 842, "拿不准就用表量：断开板子，上电前后、启动全过程各量一次。3.3 V，不耐 5 V",
           "If unsure, measure: board unplugged, at power-on and through the whole boot. 3.3 V pins, no 5 V")
    s.save()


def heartbeat():
    s = Sheet("heartbeat.svg", 1000, 640, "硬件把关：程序全死也不会一直吸合", "Hardware that ends a pulse although every program is dead")
    s.both(20, 85, "A 间隔型时间继电器：一次动作只给一个短脉冲（最简单，先装这个）",
           "an interval timer relay: one short pulse for each closure (simplest; fit this first)")
    s.box(20, 130, 160, 120, "门神的继电器", "Menshen's relay", "yellow", top=True)
    s.contact(100, 215)
    s.box(330, 130, 240, 120, "时间继电器 KT", "timer relay KT, one shot", "red", top=True)
    s.wire("field", (100, 215), (60, 215), (60, 232), (330, 232))
    s.wire("field", (160, 215), (330, 215))
    s.text(340, 212, "S1", 12)
    s.text(340, 243, "S2", 12)
    s.text(370, 228, "触发 trigger", 12)
    s.contact(500, 205)
    s.text(475, 232, "1 s", 15, weight="bold")
    s.box(750, 130, 220, 120, "道闸控制器", "barrier controller", "green", top=True)
    s.wire("field", (560, 205), (750, 205))
    s.terminal(750, 205, "开 OPEN")
    s.wire("field", (500, 205), (490, 205), (490, 180), (620, 180), (620, 235), (750, 235))
    s.terminal(750, 235, "公共 COM")
    s.text(330, 272, "上升沿触发，时间到就断开，不管触发是否还在", 13)
    s.text(330, 288, "started by the edge; opens when its time is over, whether or not the trigger is still there", 10.5, GREY)
    s.both(20, 272, "KT 自己另有 12/24 V 电源", "KT has a 12/24 V supply of its own", size=13)
    s.wire("guide", (20, 310), (980, 310))
    s.both(20, 340, "B 心跳供电：Linux 停了，继电器板就没有线圈电源",
           "heartbeat supply: when Linux stops, the relay board's coils lose their supply")
    s.box(20, 385, 170, 120, "树莓派", "Raspberry Pi", "blue", top=True)
    s.text(180, 465, "GPIO 16", 13, anchor="end")
    s.wire("sig", (190, 460), (300, 460))
    s.wire("sig", (205, 440), (215, 440), (215, 428), (223, 428), (223, 440), (235, 440), (235, 428),
           (243, 428), (243, 440), (270, 440))
    s.box(300, 385, 220, 120, "可重触发单稳态", "retriggerable one-shot", "red", top=True)
    s.text(410, 455, "只认跳变 edges only", 13, anchor="middle")
    s.text(410, 480, "3 s", 15, anchor="middle", weight="bold")
    s.wire("sig", (520, 460), (560, 460))
    s.coil(590, 460, "K2", 56, 36)
    s.wire("guide", (618, 460), (665, 460), (665, 415))
    s.wire("plus", (600, 415), (635, 415))
    s.text(596, 405, "5 V", 12)
    s.contact(635, 415, kind="plus")
    s.wire("plus", (695, 415), (760, 415))
    s.box(760, 385, 210, 120, "继电器板", "relay board", "yellow", top=True)
    s.text(770, 435, "JD-VCC", 12)
    s.text(770, 475, "IN ← GPIO 17", 12)
    s.code(20, 540, "dtoverlay=gpio-led,gpio=16,label=heartbeat,trigger=heartbeat", 12)
    s.both(20, 572, "这个跳变来自 Linux 内核，不是门神：它证明系统活着，不证明门神活着。",
           "These edges come from the Linux kernel, not from Menshen: they prove that the system lives, not that Menshen does.", size=13)
    s.both(20, 608, "门神自己的停顿由 relay-guard（500 ms）和 systemd 看门狗（10 s）管。",
           "Menshen's own stalls are the business of the relay guard (500 ms) and of systemd's watchdog (10 s).", size=13)
    s.save()


def managed():
    s = Sheet("managed.svg", 1000, 680, "managed 模式（实验，还不能用）：硬件互锁",
              "The managed profile (experimental, cannot be switched on yet): interlock in hardware")
    s.wire("plus", (60, 90), (960, 90))
    s.text(20, 95, "+24 V", 13)
    s.wire("zero", (60, 600), (960, 600))
    s.text(24, 605, "0 V", 13)
    # STOP in series with everything that moves
    s.contact_down(120, 100, closed=True)
    s.wire("zero", (120, 90), (120, 100))
    s.both(145, 122, "急停（常闭，双触点）", "STOP (NC, two poles)", size=13)
    s.wire("zero", (120, 160), (120, 185), (480, 185))
    cols = ((240, "KO", "开 OPEN", "KC", "开限位", "opened limit"),
            (480, "KC", "关 CLOSE", "KO", "关限位", "closed limit"))
    for x, name, what, other, zh, en in cols:
        s.wire("zero", (x, 185), (x, 190))
        s.dot(x, 185)
        s.contact_down(x, 190)
        s.text(x + 24, 225, "门神 " + what, 13)
        s.contact_down(x, 250, closed=True)
        s.both(x + 24, 278, zh + "（常闭）", en + " (NC)", size=13)
        s.contact_down(x, 310, closed=True)
        s.both(x + 24, 338, f"互锁 {other} 常闭", f"interlock, NC of {other}", size=13)
        if name == "KC":
            s.contact_down(x, 370, closed=True)
            s.text(x + 24, 393, "光电（平时闭）", 13, RED)
            s.text(x + 24, 408, "light beam", 10.5, RED)
            s.contact_down(x, 430, closed=True)
            s.text(x + 24, 453, "地感（平时闭）", 13, RED)
            s.text(x + 24, 468, "safety loop", 10.5, RED)
        else:
            s.wire("zero", (x, 370), (x, 490))
        s.wire("zero", (x, 490), (x, 530))
        s.coil(x, 545, name, 60, 32)
        s.wire("zero", (x, 561), (x, 600))
        s.dot(x, 600)
        s.wire("thin", (x, 510), (x + 55, 510), (x + 55, 580), (x, 580))
        s.diode_up(x + 55, 545)
    s.wire("zero", (760, 90), (760, 190))
    s.contact_down(760, 190)
    s.text(784, 225, "门神 停 STOP", 13)
    s.wire("zero", (760, 250), (760, 530))
    s.coil(760, 545, "KS", 60, 32)
    s.both(800, 542, "制动", "brake", size=13)
    s.wire("zero", (760, 561), (760, 600))
    s.dot(760, 600)
    s.both(618, 290, "第四路 TEST：", "fourth output, TEST:", size=13, room=140)
    s.both(618, 322, "测试各存在传感器", "tests presence inputs", size=13, room=140)
    s.both(790, 290, "画的都是静止状态。", "All is drawn at rest.", size=13, room=200)
    s.both(790, 322, "遇阻、防砸由认证的", "Obstacle protection is the", size=13, room=200)
    s.both(790, 354, "安全装置负责，不是门神", "business of a certified", size=13, room=200)
    s.text(790, 386, "safety device, not Menshen's", 10.5, GREY)
    s.both(20, 632, "急停的另一个触点接门神的 stop 输入；限位、光电、地感另有触点接门神。电机主回路 220/380 V 不在图里。",
           "STOP's other pole goes to Menshen's input stop; limits, beam and loop have other contacts for Menshen. The motor's mains circuit is not drawn.", size=13)
    s.text(20, 670, "只由有资质的电工和道闸厂家做 / only by a qualified electrician together with the barrier's maker", 13, RED)
    s.save()


def never():
    s = Sheet("never.svg", 1000, 600, "绝对不能这样接", "What must never be wired")
    panels = (
        ("220 V 进 GPIO 或端子", "mains into a GPIO or terminal"),
        ("门神的触点接 CLOSE", "Menshen's contact on CLOSE"),
        ("接在单键循环端子上", "on a step-by-step terminal"),
        ("一个继电器管两个道闸", "two booms on one relay"),
        ("急停只经过门神", "STOP through Menshen alone"),
        ("防砸只经过门神", "crush protection through Menshen"),
    )
    for i, (zh, en) in enumerate(panels):
        x, y = 20 + (i % 3) * 325, 75 + (i // 3) * 262
        s.box(x, y, 310, 250, "", "", "red")
        s.both(x + 12, y + 26, f"{i + 1}  {zh}", en, size=15)
        s.cross(x + 276, y + 215, 18)

    def at(i):
        return 20 + (i % 3) * 325, 75 + (i // 3) * 262

    x, y = at(0)
    s.wire("mains", (x + 20, y + 110), (x + 170, y + 110))
    s.text(x + 20, y + 100, "L 220 V", 13)
    s.box(x + 170, y + 80, 120, 70, "树莓派", "GPIO", "blue")
    s.both(x + 14, y + 190, "人会触电，板子烧毁", "kills people and boards", size=13)
    x, y = at(1)
    s.box(x + 20, y + 75, 100, 70, "继电器", "relay", "yellow")
    s.wire("field", (x + 120, y + 122), (x + 180, y + 122))
    s.box(x + 180, y + 62, 110, 86, "控制器", "controller", "green", top=True)
    s.terminal(x + 180, y + 122, "CLOSE", fill=RED)
    s.both(x + 14, y + 180, "给“开”的脉冲会把杆落下来", "an opening would bring the boom down", size=13)
    x, y = at(2)
    s.box(x + 20, y + 75, 100, 70, "继电器", "relay", "yellow")
    s.wire("field", (x + 120, y + 122), (x + 180, y + 122))
    s.box(x + 180, y + 62, 110, 86, "控制器", "controller", "green", top=True)
    s.terminal(x + 180, y + 122, "开/停/关", fill=RED)
    s.both(x + 14, y + 180, "第二个脉冲就变成停或关；", "the second pulse means stop or close;", size=13)
    s.both(x + 14, y + 212, "消防时每 5 s 重复一次", "a fire repeats it every 5 s", size=13)
    x, y = at(3)
    s.box(x + 20, y + 85, 100, 60, "继电器", "relay", "yellow")
    s.wire("field", (x + 120, y + 115), (x + 150, y + 115), (x + 150, y + 90), (x + 190, y + 90))
    s.wire("field", (x + 150, y + 115), (x + 150, y + 140), (x + 190, y + 140))
    s.dot(x + 150, y + 115)
    s.box(x + 190, y + 68, 100, 40, "道闸 1", "boom 1", "green", size=12)
    s.box(x + 190, y + 120, 100, 40, "道闸 2", "boom 2", "green", size=12)
    s.both(x + 14, y + 190, "两杆同开，互相倒灌", "both open; one feeds the other", size=13)
    x, y = at(4)
    s.box(x + 14, y + 75, 80, 60, "急停", "STOP", "grey", size=13)
    s.wire("add", (x + 94, y + 105), (x + 125, y + 105))
    s.box(x + 125, y + 75, 70, 60, "门神", "Menshen", "blue", size=13)
    s.wire("field", (x + 195, y + 105), (x + 220, y + 105))
    s.box(x + 220, y + 75, 78, 60, "控制器", "controller", "green", size=13)
    s.both(x + 14, y + 170, "门神的 stop 只断开自己的", "Menshen's stop only releases", size=13)
    s.both(x + 14, y + 202, "继电器，停不住电机", "its own relay, not the motor", size=13)
    x, y = at(5)
    s.box(x + 14, y + 75, 80, 60, "地感", "loop", "grey", size=13)
    s.wire("add", (x + 94, y + 105), (x + 125, y + 105))
    s.box(x + 125, y + 75, 70, 60, "门神", "Menshen", "blue", size=13)
    s.wire("field", (x + 195, y + 105), (x + 220, y + 105))
    s.box(x + 220, y + 75, 78, 60, "控制器", "controller", "green", size=13)
    s.both(x + 14, y + 170, "门神只看 safety_loop，", "Menshen only watches it;", size=13)
    s.both(x + 14, y + 202, "不会挡住落杆", "it stops no closing", size=13)
    s.save()


if __name__ == "__main__":
    for draw in (overview, open_contact, relay_boards, inputs, loops, supplies, header, heartbeat,
                 managed, never):
        draw()
