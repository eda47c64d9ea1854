"""The commands about the server, its processes and its databases."""

from typing import Final

from pydovecot.admin.arguments import Param, flag, many, number, text, word, words
from pydovecot.admin.table import Command

_HERE: Final = "pydovecot.admin.host."
_SOCKET: Final = text("a", "socket-path")
_INFO: Final = many("x", "auth-info")
_LOGIN: Final = (text("M", "master-user"), word("user"), word("password"))
_TEST_USAGE: Final = "[-a <auth socket path>] [-x <auth info>] [-M <master user>] <user> [<password>]"
_LOGIN_USAGE: Final = (
    "[-a <auth-login socket path>] [-m <auth-master socket path>] [-x <auth info>] [-M <master user>]"
    " <user> [<password>]"
)
_LOOKUP_USAGE: Final = "[-a <userdb socket path>] [-x <auth info>] [-f field] <user> [<user> [...]]"
_USER_USAGE: Final = (
    "[-a <userdb socket path>] [-x <auth info>] [-f field] [-e <value>] [-u] <user mask> [<user mask> [...]]"
)


def _auth(name: str, function: str, usage: str, *params: Param, cli_only: bool = True) -> Command:
    return Command(f"auth {name}", _HERE + "auth", usage, params, function, cli_only=cli_only)


HOST: Final[tuple[Command, ...]] = (
    _auth(
        "cache flush", "cache_flush", "[-a <master socket path>] [<user> [...]]", _SOCKET, words("user"),
        cli_only=False,
    ),
    Command(
        "auth explain", _HERE + "explain", "[-x <auth info>] [-p <password>] <user> [<ip>]",
        (_INFO, text("p", "password"), word("user"), word("ip")), cli_only=True,
    ),
    _auth(
        "login", "login", _LOGIN_USAGE,
        text("a", "auth-login-socket-path"), text("m", "auth-master-socket-path"), _INFO, *_LOGIN,
    ),
    _auth("lookup", "lookup", _LOOKUP_USAGE, _SOCKET, _INFO, text("f", "field"), words("user")),
    _auth("test", "test", _TEST_USAGE, _SOCKET, _INFO, *_LOGIN),
    Command("config", _HERE + "config", "[doveconf parameters]", raw=True, cli_only=True),
    Command("exec", _HERE + "execute", "<binary> [binary parameters]", raw=True, cli_only=True),
    Command("help", _HERE + "manual", "[<cmd>]", (word("cmd"),), cli_only=True),
    Command(
        "instance list", _HERE + "instance", "[-c] [<name>]",
        (flag("c", "show-config"), word("name")), "list_all",
    ),
    Command("instance remove", _HERE + "instance", "<name> | <base dir>", (word("name"),), "remove"),
    Command(
        "kick", _HERE + "kick", "[-a <anvil socket path>] <user mask>[|]<ip/bits>",
        (_SOCKET, flag("f", "force"), words("mask")),
    ),
    Command("log errors", _HERE + "logs", "[-s <min_timestamp>]", (number("s", "since"),), "errors"),
    Command("log find", _HERE + "logs", "[<dir>]", (word("log-dir"),), "find"),
    Command("log reopen", _HERE + "logs", "", (), "reopen"),
    Command("log test", _HERE + "logs", "", (), "test"),
    Command("mailbox mutf7", _HERE + "mutf7", "[-7|-8] <name> [...]", raw=True, cli_only=True),
    Command(
        "penalty", _HERE + "penalty", "[-a <anvil socket path>] [<ip/bits>]", (_SOCKET, word("netmask"))
    ),
    Command("process status", _HERE + "master", "[<service> [...]]", (words("service"),), "process_status"),
    Command(
        "pw", _HERE + "pw", "[-l] [-p plaintext] [-r rounds] [-s scheme] [-t hash] [-u user] [-V]",
        raw=True, cli_only=True,
    ),
    Command("reload", _HERE + "master", "", (), "reload"),
    Command("service status", _HERE + "master", "[<service> [...]]", (words("service"),), "service_status"),
    Command(
        "service stop", _HERE + "master", "<service> [<service> [...]]", (words("service"),), "service_stop"
    ),
    Command("stop", _HERE + "master", "", (), "stop"),
    Command(
        "tail", _HERE + "tail", "[-1] [-l <log file>] [-n <lines>] [<user mask>]",
        (flag("1", "once"), text("l", "log-file"), number("n", "lines"), word("user-mask")), cli_only=True,
    ),
    Command(
        "top", _HERE + "top", "[-a <anvil socket path>] [-d <seconds>] [-n <rounds>]",
        (_SOCKET, number("d", "delay"), number("n", "rounds")), cli_only=True,
    ),
    Command(
        "user", _HERE + "user", _USER_USAGE,
        (
            _SOCKET, _INFO, text("f", "field"), text("e", "expand-field"), flag("u", "userdb-only"),
            words("user-mask"),
        ),
    ),
    Command(
        "who", _HERE + "who", "[-a <anvil socket path>] [-1] [<user mask>] [<ip/bits>]",
        (_SOCKET, flag("1", "separate-connections"), words("mask")),
    ),
)  # fmt: skip
