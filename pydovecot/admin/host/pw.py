"""doveadm pw: stored passwords, made and checked."""

import getopt
import os
from dataclasses import dataclass

from pydovecot.admin.arguments import Arguments, BadArguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import AdminError
from pydovecot.admin.host.ask_password import ask_new_password, ask_password
from pydovecot.password import schemes

DEFAULT_SCHEME = "CRYPT"


@dataclass(slots=True)
class Options:
    """The command line."""

    list: bool = False
    verify: bool = False
    password: bytes | None = None
    rounds: int = 0
    scheme: str = ""
    stored: str = ""
    user: str = ""


def run(context: Context, arguments: Arguments) -> None:
    """-l: the schemes. -t: check a stored password. Else a new one; -V: checked once more."""
    options = parse(arguments.raw)
    if options.list:
        context.print(" ".join(schemes.SCHEMES) + " ")
        return
    if options.stored:
        password = options.password
        if password is None:
            password = ask_password(context, "Enter password to verify: ")
        check(options.stored, password, options.user)
        context.print(f"{options.stored} (verified)")
        return
    password = ask_new_password(context) if options.password is None else options.password
    made = _make(options, password)
    if options.verify:
        check(made, password, options.user)
        made += " (verified)"
    context.print(made)


def parse(argv: list[str]) -> Options:
    """Raises BadArguments."""
    try:
        pairs, rest = getopt.getopt(argv, "lp:r:s:t:u:V")
    except getopt.GetoptError as exc:
        missing = exc.msg.endswith("requires argument")
        text = "option requires an argument" if missing else "invalid option"
        raise BadArguments(f"pw: {text} -- '{exc.opt}'") from None
    if rest:
        raise BadArguments("Error: Extraneous arguments found: " + " ".join(rest))
    options = Options()
    for name, value in pairs:
        match name:
            case "-l":
                options.list = True
            case "-V":
                options.verify = True
            case "-p":
                options.password = value.encode("utf-8", "surrogateescape")
            case "-r":
                options.rounds = _rounds(value)
            case "-s":
                options.scheme = value
            case "-t":
                options.stored = value
            case "-u":
                options.user = value
    return options


def _rounds(value: str) -> int:
    """What is no number is no wish."""
    if not (value.isascii() and value.isdigit()):
        return 0
    if int(value) > 2**32 - 1:
        raise AdminError(f"Invalid number of rounds: {value}")
    return int(value)


def _make(options: Options, password: bytes) -> str:
    scheme = (options.scheme or DEFAULT_SCHEME).upper()
    if scheme.partition(".")[0] == "DIGEST-MD5" and not options.user:
        raise AdminError("digest_md5_generate(): username not given")
    try:
        return schemes.generate(
            scheme, password, user=options.user, random=os.urandom, rounds=options.rounds
        )
    except schemes.BadHash as exc:
        raise AdminError(str(exc)) from exc


def check(stored: str, password: bytes, user: str) -> None:
    """Raises AdminError when it is not this password."""
    parsed = schemes.parse(stored.encode("utf-8", "surrogateescape"), "")
    if not parsed.scheme:
        raise AdminError("Missing {scheme} prefix from hash")
    scheme = schemes.SCHEMES.get(parsed.scheme)
    try:
        if scheme is None:
            raise schemes.BadHash("Unknown scheme")
        raw = schemes.decode(parsed, scheme)
    except schemes.BadHash as exc:
        raise AdminError(f"reverse decode check failed: {exc}") from exc
    try:
        good, why = scheme.verify(password, raw, user), "Password mismatch"
    except schemes.BadHash as exc:
        good, why = False, str(exc)
    if not good:
        raise AdminError(f"reverse password verification check failed: {why}")
