"""Settings of Dovecot 1.x and 2.x that became others (grammar rule 16).

`handle` looks at each line before it is applied. The warnings are Dovecot's. `ssl_protocols`, which 2.2 still
had, is translated without a word as long as every name in it is understood: RHEL 7's default file has it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydovecot.settings.kinds import BadValue, parse_size
from pydovecot.settings.lines import Kind, Line

if TYPE_CHECKING:
    from pydovecot.settings.parser import Parser

CLEAN_HINT: Final = "NOTE: You can get a new clean config file with: doveconf -Pn > dovecot-new.conf"

# Oldest first. SSLv2 is gone from every library, so "!SSLv2" asks for nothing.
_TLS_VERSIONS: Final = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

_REMOVED: Final = frozenset(
    {
        "login_dir",
        "dbox_rotate_min_size",
        "dbox_rotate_days",
        "director_consistent_hashing",
        "mail_log_max_lines_per_sec",
        "maildir_copy_preserve_filename",
    }
)
_NOT_NEEDED: Final = frozenset({"ssl_parameters_regenerate", "ssl_dh_parameters_length"})

# Old name, key in service { }, how the value changes.
_LOGIN_SERVICE: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "login_chroot": ("chroot", lambda value: "" if value == "no" else "login"),
    "login_user": ("user", str),
    "login_executable": ("executable", str),
    "login_process_size": ("vsz_limit", lambda value: f"{value} M"),
    "login_process_per_connection": ("service_count", lambda value: "0" if value == "no" else "1"),
    "login_processes_count": ("process_min_avail", str),
    "login_max_processes_count": ("process_limit", str),
    "login_max_connections": ("client_limit", str),
}
_MAIL_SERVICE: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "max_mail_processes": ("process_limit", str),
    "mail_executable": ("executable", str),
    "mail_process_size": ("vsz_limit", lambda value: f"{value} M"),
    "mail_drop_priv_before_exec": ("drop_priv_before_exec", str),
}
_AUTH_SERVICE: Final[dict[str, tuple[str, Callable[[str], str]]]] = {
    "auth_executable": ("executable", str),
    "auth_process_size": ("vsz_limit", lambda value: f"{value} M"),
    "auth_user": ("user", str),
    "auth_chroot": ("chroot", str),
}
_PROTOCOLS: Final = ("imap", "pop3", "sieve")
_LOGIN_NAMES: Final = {"imap": "imap-login", "pop3": "pop3-login", "sieve": "managesieve-login"}
_MAIL_NAMES: Final = {"imap": "imap", "pop3": "pop3", "sieve": "managesieve"}


@dataclass(slots=True)
class State:
    """What must be remembered between lines."""

    warned: bool = False
    seen_auth: bool = False
    base_dir: str = "/run/dovecot"
    socket: dict[str, str] = field(default_factory=dict)


def handle(parser: "Parser", line: Line) -> bool:
    """Treat an obsolete line; True when nothing is left to do."""
    match line.kind:
        case Kind.SECTION_BEGIN:
            return _section(parser, line)
        case Kind.SECTION_END:
            return _section_end(parser)
        case Kind.KEYVALUE | Kind.KEYFILE | Kind.KEYVARIABLE:
            return _value(parser, line)
        case _:
            return False


def _warn(parser: "Parser", text: str) -> None:
    if not parser.state.warned:
        parser.note(CLEAN_HINT)
        parser.state.warned = True
    file, number = parser.here()
    parser.note(f"Obsolete setting in {file}:{number}: {text}")


def _section(parser: "Parser", line: Line) -> bool:
    role = parser.role
    if role == "auth":
        return _auth_section(parser, line)
    if role == "auth-socket":
        parser.state.socket.clear()
        parser.begin_skipped(line.key, f"auth-socket-{line.key}")
        return True
    if role:
        return False
    if not parser.at_root:
        return False
    if line.key == "auth":
        _warn(
            parser,
            "add auth_ prefix to all settings inside auth {} and remove the auth {} section completely",
        )
        parser.begin_skipped("", "auth")
        return True
    if line.key == "protocol" and line.value == "managesieve":
        _warn(parser, "protocol managesieve {} has been replaced by protocol sieve { }")
        parser.begin("protocol", "sieve")
        return True
    if line.key == "service" and line.value == "dns_client":
        _warn(parser, "service dns_client {} has been replaced by service dns-client { }")
        parser.begin("service", "dns-client")
        return True
    return False


def _auth_section(parser: "Parser", line: Line) -> bool:
    if line.key in ("passdb", "userdb"):
        _warn(
            parser, f"{line.key} {line.value} {{}} has been replaced by {line.key} {{ driver={line.value} }}"
        )
        parser.begin(line.key, "")
        parser.assign(Line(Kind.KEYVALUE, "driver", line.value))
        return True
    if line.key == "socket":
        if line.value == "listen":
            parser.begin_skipped("socket", "auth-socket")
            return True
        _warn(
            parser,
            "socket connect {} is no longer supported, configure external auth server separately",
        )
    return False


def _section_end(parser: "Parser") -> bool:
    role = parser.role
    if role not in ("auth-socket-master", "auth-socket-client"):
        return False
    socket = parser.state.socket
    path = socket.pop("path", "")
    if not path:
        parser.error("socket listen {} is missing path")
    elif role == "auth-socket-master" and not path.endswith(("-master", "-userdb")):
        parser.error("socket listen { master { path=.. } } must end with -master (or -userdb) suffix")
    else:
        path = path.removeprefix(parser.state.base_dir + "/")
        for key, value in socket.items():
            parser.assign_service("auth", key, value, ("unix_listener", path))
    parser.end()
    return True


def _value(parser: "Parser", line: Line) -> bool:
    role = parser.role
    if role.startswith("auth-socket-"):
        parser.state.socket[line.key] = line.value
        return True
    if not parser.at_root and role != "auth":
        return _plugin(parser, line)
    if role == "auth" and not line.key.startswith("auth_"):
        line = Line(line.kind, f"auth_{line.key}", line.value)
    if _service_value(parser, line) or _renamed(parser, line):
        return True
    if role == "auth":
        parser.assign(line)
        return True
    return False


def _plugin(parser: "Parser", line: Line) -> bool:
    if line.key != "imap_zlib_compress_level" or parser.section_key != "plugin":
        return False
    _warn(parser, f"{line.key} has been replaced by imap_compress_deflate_level")
    parser.assign_plugin("imap_compress_deflate_level", line.value)
    return True


def _applies_to(parser: "Parser") -> list[str]:
    """The protocols that the filter in force lets through."""
    wanted = parser.filter.protocol
    if not wanted:
        return list(_PROTOCOLS)
    if wanted.startswith("!"):
        return [name for name in _PROTOCOLS if name != wanted[1:]]
    return [name for name in _PROTOCOLS if name == wanted]


def _service_value(parser: "Parser", line: Line) -> bool:
    """Settings that became a key of service { }."""
    key, value = line.key, line.value
    for table, names in ((_LOGIN_SERVICE, _LOGIN_NAMES), (_MAIL_SERVICE, _MAIL_NAMES)):
        if key in table:
            new, convert = table[key]
            _warn(parser, f"{key} has been replaced by service {{ {new} }}")
            for protocol in _applies_to(parser):
                parser.assign_service(names[protocol], new, convert(value))
            return True
    if key in _AUTH_SERVICE:
        new, convert = _AUTH_SERVICE[key]
        _warn(parser, f"{key} has been replaced by service auth {{ {new} }}")
        parser.assign_service("auth", new, convert(value))
        return True
    if key == "ssl_listen" or (key == "listen" and (_has_port(value) or parser.filter.protocol)):
        _listen(parser, key, value)
        return True
    return False


def _has_port(value: str) -> bool:
    for address in value.replace(",", " ").split():
        host, colon, port = address.rpartition(":")
        if colon and port.isdecimal() and (host.count(":") == 0 or host.endswith("]")):
            return True
    return False


def _listen(parser: "Parser", key: str, value: str) -> None:
    tls = "s" if key == "ssl_listen" else ""
    if not value:
        return
    protocols = [name for name in _applies_to(parser) if name != "sieve"]  # as in Dovecot
    if _has_port(value):
        _warn(parser, f"{key}=..:port has been replaced by service {{ inet_listener {{ port }} }}")
        value, _, port = value.rpartition(":")
        for protocol in protocols:
            listener = ("inet_listener", f"{protocol}{tls}")
            parser.assign_service(_LOGIN_NAMES[protocol], "port", port, listener)
    if not tls and not parser.filter.protocol:
        parser.assign(Line(Kind.KEYVALUE, key, value))
        return
    _warn(parser, f"protocol {{ {key} }} has been replaced by service {{ inet_listener {{ address }} }}")
    for protocol in protocols:
        listener = ("inet_listener", f"{protocol}{tls}")
        parser.assign_service(_LOGIN_NAMES[protocol], "address", value, listener)


def _renamed(parser: "Parser", line: Line) -> bool:
    """Settings with another name, another meaning, or none."""
    key, value = line.key, line.value
    if key == "base_dir":
        parser.state.base_dir = value.rstrip("/")
    if key in _SPECIAL:
        return _SPECIAL[key](parser, key, value)
    if key in _NOT_NEEDED:
        _warn(parser, f"{key} is no longer needed")
        return True
    if key in _REMOVED:
        _warn(parser, f"{key} has been removed")
        return True
    return False


def _rename(parser: "Parser", old: str, new: str, value: str) -> None:
    _warn(parser, f"{old} has been renamed to {new}")
    parser.assign(Line(Kind.KEYVALUE, new, value))


def _protocols(parser: "Parser", key: str, value: str) -> bool:
    words = value.split(" ")
    names = []
    for word in words:
        if word == "managesieve":
            _warn(parser, "protocols=managesieve has been renamed to protocols=sieve")
            names.append("sieve")
        elif word and word not in ("imaps", "pop3s"):
            names.append(word)
    for name in ("imap", "pop3"):
        secure = f"{name}s"
        if secure not in words:
            continue
        if name in names:
            _warn(parser, f"'{secure}' protocol is no longer necessary, remove it")
            continue
        _warn(
            parser,
            f"'{secure}' protocol can no longer be specified (use protocols={name}). to disable non-ssl"
            f" {name}, use service {name}-login {{ inet_listener {name} {{ port=0 }} }}",
        )
        names.append(name)
        parser.assign_service(f"{name}-login", "port", "0", ("inet_listener", name))
    kind = Kind.KEYVARIABLE if "$" in value else Kind.KEYVALUE
    # The leading blank of "$protocols x" is what Dovecot prints too.
    lead = " " if value.startswith(" ") and kind is Kind.KEYVALUE else ""
    parser.assign(Line(kind, key, lead + " ".join(names)))
    return True


def _file(parser: "Parser", key: str, value: str) -> bool:
    new = key.removesuffix("_file")
    if value:
        _warn(parser, f"{key} has been replaced by {new} = <file")
        parser.assign(Line(Kind.KEYFILE, new, value))
    return True


def _ssl_disable(parser: "Parser", key: str, value: str) -> bool:
    _rename(parser, key, "ssl", {"yes": "no", "no": "yes"}.get(value.lower(), value))
    return True


def _fsync_disable(parser: "Parser", key: str, value: str) -> bool:
    _rename(parser, key, "mail_fsync", {"yes": "never", "no": "optimized"}.get(value.lower(), value))
    return True


def _dbox_rotate_size(parser: "Parser", key: str, value: str) -> bool:
    _rename(parser, key, "mdbox_rotate_size", value)
    return True


def _sieve(parser: "Parser", key: str, value: str) -> bool:
    if key == "sieve_storage":
        _warn(parser, "sieve_storage has been moved into plugin { sieve_dir }")
    else:
        _warn(parser, f"{key} has been moved into plugin {{}} section")
    parser.assign_plugin("sieve_dir" if key == "sieve_storage" else key, value)
    return True


def _ssl_protocols(parser: "Parser", key: str, value: str) -> bool:
    try:
        oldest = oldest_protocol(value)
    except BadValue as exc:
        _warn(parser, f"{key} has been replaced by ssl_min_protocol")
        parser.note(
            f"Could not find a minimum ssl_min_protocol setting from ssl_protocols = {value}: {exc}", "Error"
        )
        return True
    parser.assign(Line(Kind.KEYVALUE, "ssl_min_protocol", oldest))
    return True


def oldest_protocol(value: str) -> str:
    """The ssl_min_protocol that `ssl_protocols = value` asks for: "!SSLv3" is TLSv1. Raises BadValue."""
    allowed: set[str] = set()
    refused: set[str] = set()
    for word in value.replace(",", " ").split():
        name = word.removeprefix("!")
        if name not in _TLS_VERSIONS and word != "!SSLv2":
            raise BadValue(f"Unrecognized protocol '{name}'")
        (refused if word.startswith("!") else allowed).add(name)
    candidates = [name for name in _TLS_VERSIONS if (name in allowed if allowed else name not in refused)]
    if not candidates:
        raise BadValue("All protocols disabled")
    return candidates[0]


def _workarounds(parser: "Parser", key: str, value: str) -> bool:
    words = []
    for word in value.replace(",", " ").split(" "):
        if word == "outlook-idle":
            _warn(parser, "imap_client_workarounds=outlook-idle is no longer necessary")
        elif word == "netscape-eoh":
            _warn(parser, "imap_client_workarounds=netscape-eoh is no longer supported")
        elif word:
            words.append(word)
            continue
    kind = Kind.KEYVARIABLE if "$" in value else Kind.KEYVALUE
    parser.assign(Line(kind, key, " ".join(words)))
    return True


def _cache_size(parser: "Parser", key: str, value: str) -> bool:
    if not value.isdecimal() or not 0 < parse_size(value) < 1024:
        return False
    _warn(parser, f"auth_cache_size value no longer defaults to megabytes. Use {value}M")
    parser.assign_root(key, f"{value}M")
    return True


def _auth_count(parser: "Parser", key: str, value: str) -> bool:
    if value == "count":
        _warn(parser, "auth_count has been removed")
    else:
        _warn(parser, "auth_count has been removed, and its value must be 1")
    return True


_SPECIAL: Final[dict[str, Callable[["Parser", str, str], bool]]] = {
    "protocols": _protocols,
    "ssl_cert_file": _file,
    "ssl_key_file": _file,
    "ssl_ca_file": _file,
    "ssl_disable": _ssl_disable,
    "ssl_protocols": _ssl_protocols,
    "sieve": _sieve,
    "sieve_storage": _sieve,
    "fsync_disable": _fsync_disable,
    "dbox_rotate_size": _dbox_rotate_size,
    "imap_client_workarounds": _workarounds,
    "auth_cache_size": _cache_size,
    "auth_count": _auth_count,
}
