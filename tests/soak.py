#!/usr/bin/env python3
"""The long camera bars: an hour of RTSP, and a camera that is killed again and again.

    python3 tests/soak.py memory --minutes 60     resident memory and descriptors, minute by minute
    python3 tests/soak.py camera --kills 50       seconds from a camera's return to a frame

With --codec h265 the camera sends H.265.

Needs target/release/menshen (cargo build --release -p menshen), ffmpeg, mosquitto and the
packages of tests/rtsp_server.py. The clip is rendered by the project itself:
cargo run --release -p sim --example clip. Prints lines that begin with BAR.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MENSHEN = TARGET / "release" / "menshen"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def family(pid):
    """The process and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                status = Path(f"/proc/{name}/status").read_text()
                parent = int(status.split("PPid:")[1].split()[0])
                children.setdefault(parent, []).append(int(name))
            except (OSError, IndexError, ValueError):
                continue
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def resident(pid):
    """(KiB resident, open descriptors) of the family."""
    memory = descriptors = 0
    for one in family(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
            memory += int(status.split("VmRSS:")[1].split()[0])
            descriptors += len(os.listdir(f"/proc/{one}/fd"))
        except (OSError, IndexError, ValueError):
            continue
    return memory, descriptors


def shares(pid):
    """(name, KiB resident) of each process of the family."""
    for one in family(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
            yield status.split()[1], int(status.split("VmRSS:")[1].split()[0])
        except (OSError, IndexError, ValueError):
            continue


def unit_environment():
    """What systemd sets for the gate."""
    lines = (ROOT / "systemd" / "menshen.service").read_text().splitlines()
    pairs = (l.split("=", 1)[1].split("=", 1) for l in lines if l.startswith("Environment="))
    return dict(pairs)


class Site:
    """A gate with an RTSP camera and a broker, all real."""

    def __init__(self, folder, codec):
        self.folder = Path(folder)
        self.codec = codec
        self.rtsp, self.mqtt = free_port(), free_port()
        self.clip = self.folder / "clip.mp4"
        frames = subprocess.Popen(
            ["cargo", "run", "-q", "--release", "-p", "sim", "--example", "clip", "3", "40"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        encode = ["ffmpeg", "-v", "error", "-f", "image2pipe", "-c:v", "ppm", "-r", "10", "-i", "-"]
        encode += ["-c:v", "libx264", "-preset", "veryfast", "-g", "20", str(self.clip)]
        subprocess.run(encode, stdin=frames.stdout, check=True)
        (self.folder / "menshen.toml").write_text(
            f"""[site]
name = "soak"
[clock]
trusted = "always"
[store]
folder = "{self.folder}/store"
[mqtt]
host = "127.0.0.1"
port = {self.mqtt}
[[barrier]]
relay = {{ driver = "simulated" }}
[[lane]]
name = "entry"
[lane.camera]
kind = "rtsp"
url = "rtsp://127.0.0.1:{self.rtsp}/live"
"""
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.broker = subprocess.Popen(["mosquitto", "-p", str(self.mqtt)], **quiet)
        self.camera = None
        self.turn_on()
        self.gate = subprocess.Popen(
            [MENSHEN, "run", "--config", self.folder / "menshen.toml"],
            env=os.environ | unit_environment(),
            stderr=(self.folder / "gate.log").open("w"),
        )

    def turn_on(self):
        server = ["/usr/bin/python3", str(ROOT / "tests" / "rtsp_server.py"), "--codec", self.codec]
        server += ["--port", str(self.rtsp), "--file", str(self.clip), "--fps", "10"]
        server += ["--width", "1280", "--height", "720"]
        self.camera = subprocess.Popen(
            server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self.camera.stdout.readline()
        if not line.startswith("ready"):
            sys.exit("the RTSP server did not start; see the packages in tests/rtsp_server.py")

    def turn_off(self):
        self.camera.kill()
        self.camera.wait()

    def frames(self):
        """Frames that the lane has recognised and decided on."""
        status = [MENSHEN, "status", "--json", "--config", self.folder / "menshen.toml"]
        done = subprocess.run(status, capture_output=True, text=True)
        return json.loads(done.stdout)["lanes"][0]["frames"] if done.returncode == 0 else 0

    def end(self):
        self.gate.terminate()
        self.gate.wait()
        self.turn_off()
        self.broker.kill()


def memory(site, minutes):
    """The level is the median of a minute's samples: a single one also catches the frame in hand,
    2.7 MiB of it at 1280 x 720. The highest single sample is printed beside it."""
    levels, highest, descriptors = [], [], []
    begin = time.monotonic()
    for minute in range(1, minutes + 1):
        samples = []
        for sample in range(20):
            time.sleep(max(0, begin + 60 * (minute - 1) + 3 * (sample + 1) - time.monotonic()))
            if site.gate.poll() is not None:
                sys.exit("the gate ended; its log is in " + str(site.folder))
            samples.append(resident(site.gate.pid))
        levels.append(statistics.median(s[0] for s in samples) / 1024)
        highest.append(max(s[0] for s in samples) / 1024)
        descriptors.append(max(s[1] for s in samples))
        store = sum(f.stat().st_size for f in (site.folder / "store" / "sled").rglob("*") if f.is_file())
        each = ", ".join(f"{name} {kib / 1024:.1f}" for name, kib in shares(site.gate.pid))
        print(
            f"{minute:3} min {levels[-1]:7.1f} MiB, at most {highest[-1]:.1f} (now {each}), "
            f"{descriptors[-1]} descriptors, store {store / 2**20:.1f} MiB",
            flush=True,
        )
    from_minute = min(10, (minutes + 1) // 2) - 1
    late = levels[from_minute:]
    growth = 100 * (max(late) - min(late)) / late[0]
    print(
        f"BAR memory: {site.codec}, {late[0]:.1f} MiB at minute {from_minute + 1}, {late[-1]:.1f} at minute {minutes}, "
        f"within {growth:.1f} % (single samples {max(highest[from_minute:]):.1f} at most); "
        f"descriptors {descriptors[from_minute]} and {descriptors[-1]}; {site.frames()} frames"
    )
    return growth <= 5 and descriptors[-1] <= descriptors[from_minute]


def camera(site, kills):
    while site.frames() == 0:
        time.sleep(0.1)
    took = []
    for kill in range(kills):
        site.turn_off()
        time.sleep(1.0 + kill % 3)
        before = site.frames()
        site.turn_on()
        back = time.monotonic()
        while site.frames() <= before and time.monotonic() < back + 30:
            time.sleep(0.02)
        took.append(time.monotonic() - back)
        print(f"{kill + 1:3} decided {took[-1]:.2f} s after the camera's return", flush=True)
    took.sort()
    print(f"BAR camera: {site.codec}, {kills} kills, decided after {took[len(took) // 2]:.2f} s median, {took[-1]:.2f} s at most")
    return took[-1] <= 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bar", choices=["memory", "camera"])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--codec", choices=["h264", "h265"], default="h264")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="menshen-soak-") as folder:
        site = Site(folder, args.codec)
        try:
            good = memory(site, args.minutes) if args.bar == "memory" else camera(site, args.kills)
        finally:
            site.end()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
