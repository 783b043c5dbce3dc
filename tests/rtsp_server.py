#!/usr/bin/python3
"""An RTSP server for tests: H.264 or H.265 over TCP or UDP, without end.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-{base,good,bad,ugly}.

With --file, plays a video file again and again: decoded by ffmpeg, brought to --width, --height
and --fps, and encoded anew. Without, shows a test pattern whose top 16 rows carry a clock: 32
squares of 16 pixels, white for 1, most significant first, of CLOCK_MONOTONIC in milliseconds
modulo 2^32, taken when the picture is handed to the encoder. So whoever decodes a picture knows
how old it is.

Prints "ready rtsp://127.0.0.1:PORT/live" once it listens; --port 0 takes a free port.
"""

import argparse
import subprocess
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=4000"
    " ! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=4000"
    " ! rtph265pay name=pay0 pt=96 config-interval=-1",
}


class Clockwork:
    """Pushes pictures that show the time at which they were made."""

    def __init__(self, source, width, height, fps):
        self.source, self.width, self.height, self.fps = source, width, height, fps
        self.number = 0
        body = bytearray()
        for row in range(height - 16):
            shade = 40 + 120 * row // height
            body += bytes((shade, shade, shade)) * width
        self.body = body
        self.begin = time.monotonic()
        GLib.timeout_add(max(1, 500 // fps), self.tick)

    def tick(self):
        if self.number > (time.monotonic() - self.begin) * self.fps:
            return True
        # A moving bar, so that no two pictures are the same.
        body = bytearray(self.body)
        row = 3 * self.width * ((self.number * 4) % (self.height - 16))
        body[row : row + 3 * self.width] = b"\xff\xff\x00" * self.width
        now = int(time.monotonic() * 1000) & 0xFFFFFFFF
        line = bytearray()
        for bit in range(31, -1, -1):
            line += (b"\xff" if now >> bit & 1 else b"\x00") * 48
        line += b"\x80" * (3 * self.width - len(line))
        buffer = Gst.Buffer.new_wrapped(bytes(line) * 16 + bytes(body))
        buffer.pts = self.number * Gst.SECOND // self.fps
        buffer.duration = Gst.SECOND // self.fps
        self.number += 1
        return self.source.emit("push-buffer", buffer) == Gst.FlowReturn.OK


class Clip:
    """Pushes the pictures of a video file at their pace, without end."""

    def __init__(self, source, args):
        size = f"scale={args.width}:{args.height},fps={args.fps}"
        command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-re", "-stream_loop", "-1"]
        command += ["-i", args.file, "-vf", size, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        self.source, self.fps = source, args.fps
        self.length = args.width * args.height * 3
        self.player = subprocess.Popen(command, stdout=subprocess.PIPE)
        threading.Thread(target=self.play, daemon=True).start()

    def play(self):
        number = 0
        while len(body := self.player.stdout.read(self.length)) == self.length:
            buffer = Gst.Buffer.new_wrapped(body)
            buffer.pts = number * Gst.SECOND // self.fps
            buffer.duration = Gst.SECOND // self.fps
            number += 1
            if self.source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                break
        self.player.kill()
        self.player.wait()


class Factory(GstRtspServer.RTSPMediaFactory):
    """One encoder shared by all who watch."""

    def __init__(self, args):
        super().__init__()
        self.args = args
        self.set_shared(True)

    def do_create_element(self, _url):
        a = self.args
        encoder = ENCODERS[a.codec].format(gop=a.gop)
        caps = f"video/x-raw,format=RGB,width={a.width},height={a.height},framerate={a.fps}/1"
        source = f"appsrc name=source is-live=true format=time caps={caps}"
        return Gst.parse_launch(
            f"( {source} ! videoconvert ! video/x-raw,format=I420 ! {encoder} )"
        )

    def do_configure(self, media):
        GstRtspServer.RTSPMediaFactory.do_configure(self, media)
        source = media.get_element().get_by_name_recurse_up("source")
        if self.args.file:
            Clip(source, self.args)
        else:
            Clockwork(source, self.args.width, self.args.height, self.args.fps)


def protect(server, factory, user, password):
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "watcher")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.from_string(
            "watcher, media.factory.access=(boolean)true,"
            " media.factory.construct=(boolean)true;"
        )[0]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--file")
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--gop", type=int, default=20, help="pictures between two key frames")
    parser.add_argument("--user")
    parser.add_argument("--password")
    args = parser.parse_args()
    if args.width < 512 or args.height < 32:
        parser.error("the clock needs 512 x 32 pixels or more")

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(args.port))
    factory = Factory(args)
    if args.user:
        protect(server, factory, args.user, args.password or "")
    server.get_mount_points().add_factory("/live", factory)
    if server.attach(None) == 0:
        sys.exit(f"port {args.port} is taken")
    print(f"ready rtsp://127.0.0.1:{server.get_bound_port()}/live", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
