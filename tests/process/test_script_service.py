"""`executable = script`, ours and Dovecot's: arguments, input, output, and how it ended."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_lmtp import PROGRAMS, Server
from tests.support.wire import WireConnection

CONF = """
mail_plugins = quota
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:messages=10
  quota_warning = messages=1 quota-warning 1 %u
}}
service quota-warning {{
  executable = script {script} fixed
  unix_listener quota-warning {{
    mode = 0666
  }}
}}
"""
SCRIPT = """#!/bin/sh
echo "$@" >> {told}
case "$2" in
  fail) exit 3;;
  echo) read line; echo "got $line";;
esac
"""
HELLO = b"VERSION\tscript\t4\t0\n"


class Scripted:
    """A server with a script."""

    def __init__(self, program: str, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        self.told = tmp_path / "told"
        self.told.touch()
        self.told.chmod(0o666)
        script = tmp_path / "script.sh"
        script.write_text(SCRIPT.format(told=self.told))
        script.chmod(0o755)
        self.server = Server(program, CONF.format(script=script))

    def run(self, request: bytes) -> bytes:
        """All that comes back."""
        wire = WireConnection(str(self.server.place.run / "quota-warning"))
        wire.send(request)
        answer = b""
        while more := wire.receive():
            answer += more
        wire.close()
        return answer


@pytest.fixture(params=PROGRAMS)
def scripted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scripted]:
    made = Scripted(request.param, tmp_path)
    yield made
    made.server.running.close()


def test_arguments_and_answers(scripted: Scripted) -> None:
    assert scripted.run(HELLO + b"-\nplain\na\x01tb\n\n") == b"+\n"
    assert scripted.run(HELLO + b"-\nfail\n\n") == b"-\n"
    assert scripted.run(HELLO + b"-\necho\n\nhello\n") == b"got hello\n+\n"
    assert scripted.run(HELLO + b"noreply\necho\n\nhello\n") == b"got hello\n"
    assert scripted.told.read_text() == "fixed plain a\tb\nfixed fail\nfixed echo\nfixed echo\n"


def test_a_quota_warning_runs_it(scripted: Scripted) -> None:
    client = scripted.server.unix()
    assert client.say("LHLO x").startswith("250-")
    client.deliver("alice")
    client.close()
    deadline = time.monotonic() + 60
    while not scripted.told.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert scripted.told.read_text() == "fixed 1 alice\n"
