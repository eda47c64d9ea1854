"""Odd messages over LMTP, by DATA and by BDAT: what is in the files is the same on both servers."""

import re

import pytest

from tests.process.test_lmtp import Server
from tests.support.dovecot import dovecot_missing

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
]
MESSAGES = {
    "nul": b"A: b\r\n\r\nx\0y\r\n",
    "nul in a field's name": b"A\0: b\r\n\r\nx\r\n",
    "bare lf": b"A: b\n\nx\ny\r\n",
    "bare cr": b"A: b\r\n\r\nx\ry\r\n",
    "two cr": b"A: b\r\n\r\nx\r\r\ny\r\n",
    "dots": b"A: b\r\n\r\n..\r\n..x\r\n.. \r\n",
    "cr and dots": b"A: b\r\n\r\nx\r..\r\n",
    "no header": b"hello\r\nworld\r\n",
    "nothing": b"",
    "no body": b"A: b\r\n",
    "empty line first": b"\r\nbody\r\n",
    "long lines": b"A: " + b"x" * 200_000 + b"\r\n\r\n" + b"y" * 300_000 + b"\r\n",
    "8bit": b"Subject: \xff\xfe\r\n\r\n\x80\x81\r\n",
    "lines of an mbox": b"From x\r\nA: b\r\n\r\nFrom y\r\n",
    "only a cr": b"\r\r\n",
}


def stored(program: str) -> dict[str, tuple[str, bytes, str]]:
    """Reply, file without the fields that LMTP adds, sizes in the file's name."""
    server = Server(program)
    try:
        found = {}
        client = server.unix()
        client.say("LHLO h")
        for name, message in MESSAGES.items():
            for command in ("DATA", "BDAT"):
                before = set(server.files("alice"))
                client.say("MAIL FROM:<a@b> BODY=8BITMIME")
                client.say("RCPT TO:<alice>")
                if command == "DATA":
                    client.say("DATA")
                    client.send(message + b".\r\n")
                else:
                    octets = message.replace(b"\r\n..", b"\r\n.")
                    client.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
                reply = client.reply()
                (path,) = set(server.files("alice")) - before
                own = re.sub(rb"\A(?:.*\n)*?.*; [^\n]* [+-]\d{4}\n", b"", path.read_bytes(), count=1)
                sizes = {key: int(value) for key, value in re.findall(r"([SW])=(\d+)", path.name)}
                added = path.stat().st_size - len(own)
                found[f"{name} {command}"] = (reply[:3], own, f"{sizes['S'] - added} {sizes['W'] - added}")
        client.close()
        return found
    finally:
        server.running.close()


def test_what_is_stored() -> None:
    ours, dovecot = stored("ours"), stored("dovecot")
    assert ours.keys() == dovecot.keys()
    for name, one in dovecot.items():
        assert ours[name] == one, name
