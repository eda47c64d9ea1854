"""A server of either kind with doveadm's listeners, and raw conversations with them."""

import base64
import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.ports import free_ports
from tests.support.serverconf import ServerDir
from tests.support.twodoveadms import users_conf

PASSWORD, KEY = "sekret", "apikey"
LOGIN = b"PLAIN\t" + base64.b64encode(b"\0doveadm\0" + PASSWORD.encode()) + b"\n"


@dataclass(slots=True)
class AdminServer:
    """`port`: doveadm's protocol. `tls`: the same with TLS. `http`."""

    running: DovecotInstance | Cluster
    port: int
    tls: int
    http: int

    @classmethod
    def make(cls, kind: type[DovecotInstance] | type[Cluster], extra: str = "") -> "AdminServer":
        """Not started."""
        place = ServerDir.make()
        port, tls, http = free_ports(3)
        conf = f"""\
doveadm_password = {PASSWORD}
doveadm_api_key = {KEY}
service doveadm {{
  inet_listener doveadm {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener doveadm-tls {{
    address = 127.0.0.1
    port = {tls}
    ssl = yes
  }}
  inet_listener http {{
    address = 127.0.0.1
    port = {http}
  }}
}}
"""
        running = kind(users_conf(place) + conf + extra, static_users=False, place=place)
        return cls(running, port, tls, http)

    @property
    def conf(self) -> Path:
        return self.running.conf

    @property
    def unix(self) -> str:
        return str(self.running.place.run / "doveadm-server")

    def talk(self, *lines: bytes, path: str = "", end: bool = False) -> bytes:
        """Send lines, and all that comes back until the server (or, with `end`, we) has nothing to add."""
        if path:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(60)
            sock.connect(path)
        else:
            sock = socket.create_connection(("127.0.0.1", self.port), 60)
        with sock:
            sock.sendall(b"".join(lines))
            if end:
                sock.shutdown(socket.SHUT_WR)
            answer = b""
            while data := sock.recv(65536):
                answer += data
            return answer

    def request(
        self, method: str, path: str, body: str | None = None, authorization: str = "api"
    ) -> tuple[int, str, dict[str, str], bytes]:
        """One HTTP request: status, reason, headers without the date, body."""
        made = {"api": f"X-Dovecot-API {base64.b64encode(KEY.encode()).decode()}", "": ""}
        basic = base64.b64encode(f"doveadm:{authorization}".encode()).decode()
        header = made.get(authorization, f"Basic {basic}")
        connection = HTTPConnection("127.0.0.1", self.http, timeout=60)
        try:
            headers = {"Authorization": header} if header else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            known = {name: value for name, value in answer.getheaders() if name != "Date"}
            return answer.status, answer.reason, known, answer.read()
        finally:
            connection.close()

    def run(self, *commands: object) -> bytes:
        """POST commands; the body."""
        return self.request("POST", "/doveadm/v1", json.dumps(commands))[3]


def unpack(data: bytes) -> tuple[bytes, bytes]:
    """Packets of protocol 1.1 in their channels: output and log."""
    channels: dict[int, bytes] = {0: b"", ord("L"): b""}
    while data:
        size = int.from_bytes(data[1:5], "big")
        channels[data[0]] += data[5 : 5 + size]
        data = data[5 + size :]
    return channels[0], channels[ord("L")]
