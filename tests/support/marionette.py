"""A small client of Marionette, the remote control that Mozilla's programs have built in.

Each frame is the length, a colon and JSON: `[0, id, command, parameters]` there and
`[1, id, error, result]` back.
"""

import base64
import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any


class MarionetteError(Exception):
    """The program could not do a command."""


class Marionette:
    """One session, in the context of the program's own windows (not of a page)."""

    def __init__(self, port: int, seconds: float) -> None:
        """Connect until somebody listens."""
        self._serial = 0
        self._sock = _connect(port, time.monotonic() + seconds)
        self._sock.settimeout(60)
        self._reader = self._sock.makefile("rb")
        self._receive()
        self._send("WebDriver:NewSession", {"capabilities": {}})
        self._send("Marionette:SetContext", {"value": "chrome"})
        self._send("WebDriver:SetTimeouts", {"script": 20_000})

    def _receive(self) -> Any:
        size = b""
        while not size.endswith(b":"):
            byte = self._reader.read(1)
            if not byte:
                raise MarionetteError("it is gone")
            size += byte
        return json.loads(self._reader.read(int(size[:-1])))

    def _send(self, command: str, parameters: dict[str, Any]) -> Any:
        self._serial += 1
        frame = json.dumps([0, self._serial, command, parameters]).encode()
        self._sock.sendall(b"%d:%b" % (len(frame), frame))
        _, serial, error, result = self._receive()
        assert serial == self._serial
        if error:
            raise MarionetteError(
                f"{command}: {error['error']}: {error['message']}\n{error.get('stacktrace')}"
            )
        return result

    def run(self, script: str, *args: object) -> Any:
        """What the body of an async function returns; it sees `args`."""
        body = (
            f"const args = [...arguments]; const done = args.pop();"
            f"(async () => {{ {script} }})().then(value => done([value]), error => done(String(error)));"
        )
        answer = self._send(
            "WebDriver:ExecuteAsyncScript", {"script": body, "args": args, "newSandbox": False}
        )
        value = answer["value"]
        if isinstance(value, str):
            raise MarionetteError(f"{value} in {script}")
        return value[0]

    def wait(self, what: str, script: str, *args: object, seconds: float = 60) -> Any:
        """Run a script until what it returns is true; that value."""
        end = time.monotonic() + seconds
        while not (value := self.run(script, *args)):
            assert time.monotonic() < end, f"not in {seconds} s: {what}"
            time.sleep(0.1)
        return value

    def screenshot(self, path: Path) -> None:
        """The window as a PNG file."""
        value = self._send("WebDriver:TakeScreenshot", {"full": False})["value"]
        path.write_bytes(base64.b64decode(value))

    def quit(self) -> None:
        """Ask the program to end."""
        with contextlib.suppress(MarionetteError, OSError):
            self._send("Marionette:Quit", {"flags": ["eForceQuit"]})
        self._sock.close()


def _connect(port: int, end: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
