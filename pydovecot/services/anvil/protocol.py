"""The anvil line protocol: one line in, an answer or nothing out. No sockets here."""

from pydovecot.base import tabescape
from pydovecot.services.anvil.limits import ConnectLimit
from pydovecot.services.anvil.penalty import Penalties

MAX_LINE = 1024  # Dovecot: MAX_INBUF_SIZE


class BadCommandError(Exception):
    """The client sent something else than the protocol; its text is logged, the connection closed."""


class Anvil:
    """All that anvil knows."""

    def __init__(self, limits: ConnectLimit, penalties: Penalties) -> None:
        self.limits = limits
        self.penalties = penalties

    def command(self, line: bytes, *, master: bool) -> bytes:
        """Do one command and return its answer (often empty). Raises BadCommandError."""
        verb, *args = tabescape.split_text(line)
        if verb == "CONNECT" or verb == "DISCONNECT":
            self._session(verb, args)
        elif verb == "LOOKUP":
            _need(verb, args, 1)
            return b"%d\n" % self.limits.lookup(args[0])
        elif verb == "KILL":
            _need(verb, args, 1)
            if not master:
                raise BadCommandError("KILL sent by a non-master connection")
            self.limits.kill(_number(verb, args[0], "invalid pid"))
        elif verb == "CONNECT-DUMP":
            rows = [[ident, str(pid), str(count)] for ident, pid, count in self.limits.dump()]
            return b"".join(map(tabescape.join_text, rows)) + b"\n"
        elif verb.startswith("PENALTY-"):
            return self._penalty(verb, args)
        else:
            raise BadCommandError(f"Unknown command: {verb}")
        return b""

    def _session(self, verb: str, args: list[str]) -> None:
        _need(verb, args, 2)
        pid = _number(verb, args[0], "invalid pid")
        if verb == "CONNECT":
            self.limits.connect(pid, args[1])
        elif not self.limits.disconnect(pid, args[1]):
            # After anvil was replaced it knows nothing of older sessions: no error.
            return

    def _penalty(self, verb: str, args: list[str]) -> bytes:
        if verb == "PENALTY-GET":
            _need(verb, args, 1)
            return b"%d %d\n" % self.penalties.get(args[0])
        if verb == "PENALTY-INC":
            _need(verb, args, 3)
            checksum, value = (_number(verb, arg, "Invalid parameters") for arg in args[1:3])
            self.penalties.increase(args[0], checksum, value)
        elif verb == "PENALTY-SET-EXPIRE-SECS":
            _need(verb, args, 1)
            self.penalties.expire_secs = _number(verb, args[0], "Invalid parameters")
        elif verb == "PENALTY-DUMP":
            rows = [[ident, *map(str, numbers)] for ident, *numbers in self.penalties.dump()]
            return b"".join(map(tabescape.join_text, rows)) + b"\n"
        else:
            raise BadCommandError(f"Unknown command: {verb}")
        return b""


def is_handshake(line: bytes) -> bool:
    """True for `VERSION anvil 1 x`."""
    fields = line.split(b"\t")
    return len(fields) == 4 and fields[:3] == [b"VERSION", b"anvil", b"1"] and fields[3].isdigit()


def _need(verb: str, args: list[str], count: int) -> None:
    if len(args) < count:
        raise BadCommandError(f"{verb}: Not enough parameters")


def _number(verb: str, text: str, complaint: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise BadCommandError(f"{verb}: {complaint}")
    return int(text)
