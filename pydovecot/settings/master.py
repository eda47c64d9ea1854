"""What the master knows of the configuration: services with their listeners, protocols, global texts.

Plain data with a JSON form, so that a short-lived child can parse and hand it over a pipe. `$default_*` names
are replaced, 0 limits are filled in, disabled services and listeners are left out.
"""

import dataclasses
import json
from dataclasses import dataclass, field, replace
from typing import Final

from pydovecot.settings import kinds
from pydovecot.settings.effective import Effective, effective, merge
from pydovecot.settings.tree import Query, Tree

_REFERENCES: Final = ("default_internal_user", "default_internal_group", "default_login_user")
LDA: Final = "lda"
UNLIMITED_VSZ: Final = kinds.SIZE_MAX


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket or fifo of a service. `kind` is "unix", "fifo" or "inet"; `path` is absolute."""

    kind: str
    name: str
    path: str = ""
    mode: int = 0o600
    user: str = ""
    group: str = ""
    addresses: tuple[str, ...] = ()
    port: int = 0
    ssl: bool = False
    reuse_port: bool = False
    haproxy: bool = False


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """service NAME { }."""

    name: str
    protocol: str = ""
    type: str = ""
    executable: str = ""
    user: str = ""
    group: str = ""
    privileged_group: str = ""
    extra_groups: str = ""
    chroot: str = ""
    drop_priv_before_exec: bool = False
    process_min_avail: int = 0
    process_limit: int = 100
    client_limit: int = 1000
    service_count: int = 0
    idle_kill: int = 60
    vsz_limit: int = 256 * 2**20
    listeners: tuple[Listener, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything the master needs. `settings` has all global settings as text."""

    path: str
    base_dir: str
    state_dir: str
    libexec_dir: str
    instance_name: str
    protocols: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    services: tuple[ServiceConfig, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def to_json(self) -> str:
        """For the pipe to the master."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Configuration":
        """What to_json made."""
        plain = json.loads(text)
        services = []
        for service in plain.pop("services"):
            listeners = service.pop("listeners")
            made = [Listener(**{**one, "addresses": tuple(one["addresses"])}) for one in listeners]
            services.append(ServiceConfig(**service, listeners=tuple(made)))
        for key in ("protocols", "warnings", "files"):
            plain[key] = tuple(plain[key])
        return cls(**plain, services=tuple(services))


def configuration(tree: Tree) -> Configuration:
    """The master's part of a parsed configuration (parsed with `expand=True`)."""
    root = effective(merge(tree, Query()))
    texts = {name: root.text(name) for name, known in root.type.fields.items() if not known.unset}
    protocols = tuple(dict.fromkeys(texts["protocols"].split()))
    services = [
        _service(service, texts)
        for service in root.children("service")
        if not service.text("protocol") or service.text("protocol") in protocols
    ]
    base_dir = texts["base_dir"].rstrip("/")
    if not any(service.name == LDA for service in services):
        services.append(_lda(base_dir, texts))
    # `protocol lda { }` is for it, whoever has written the service down.
    services = [replace(one, protocol=LDA) if one.name == LDA else one for one in services]
    return Configuration(
        path=tree.path,
        base_dir=base_dir,
        state_dir=texts["state_dir"],
        libexec_dir=texts["libexec_dir"],
        instance_name=texts["instance_name"],
        protocols=protocols,
        settings=texts,
        services=tuple(services),
        warnings=tuple(note.text for note in tree.notes),
        files=tuple(tree.files),
    )


def _lda(base_dir: str, texts: dict[str, str]) -> ServiceConfig:
    """The helper of dovecot-lda, of which Dovecot's list of services knows nothing."""
    return ServiceConfig(
        name=LDA,
        protocol=LDA,
        executable=LDA,
        process_limit=kinds.parse_uint(texts["default_process_limit"]),
        client_limit=1,
        idle_kill=kinds.parse_time(texts["default_idle_kill"]),
        vsz_limit=kinds.parse_size(texts["default_vsz_limit"]),
        listeners=(Listener("unix", LDA, f"{base_dir}/{LDA}", 0o666),),
    )


def _service(service: Effective, texts: dict[str, str]) -> ServiceConfig:
    def account(key: str) -> str:
        return _resolve(service.text(key), texts)

    def limit(key: str) -> int:
        return kinds.parse_uint(service.text(key)) or kinds.parse_uint(texts[f"default_{key}"])

    vsz_limit = kinds.parse_size(service.text("vsz_limit"))
    idle_kill = kinds.parse_time(service.text("idle_kill"))
    return ServiceConfig(
        name=service.title,
        protocol=service.text("protocol"),
        type=service.text("type"),
        executable=service.text("executable"),
        user=account("user"),
        group=account("group"),
        privileged_group=account("privileged_group"),
        extra_groups=account("extra_groups"),
        chroot=service.text("chroot"),
        drop_priv_before_exec=kinds.parse_bool(service.text("drop_priv_before_exec")),
        process_min_avail=kinds.parse_uint(service.text("process_min_avail")),
        process_limit=limit("process_limit"),
        client_limit=limit("client_limit"),
        service_count=kinds.parse_uint(service.text("service_count")),
        idle_kill=idle_kill or kinds.parse_time(texts["default_idle_kill"]),
        vsz_limit=kinds.parse_size(texts["default_vsz_limit"]) if vsz_limit == UNLIMITED_VSZ else vsz_limit,
        listeners=tuple(_listeners(service, texts)),
    )


def _resolve(text: str, texts: dict[str, str]) -> str:
    """Replace $default_internal_user and its sisters; the defaults of services are written with them."""
    if "$" not in text:
        return text
    for name in _REFERENCES:
        text = text.replace(f"${name}", texts[name])
    return text


def _listeners(service: Effective, texts: dict[str, str]) -> list[Listener]:
    found = []
    base_dir = texts["base_dir"].rstrip("/")
    for kind in ("unix", "fifo"):
        for one in service.children(f"{kind}_listener"):
            mode = kinds.parse_octal(one.text("mode"))
            # mode = 0 switches a listener off.
            if mode == 0:
                continue
            path = one.title if one.title.startswith("/") else f"{base_dir}/{one.title}"
            user, group = _resolve(one.text("user"), texts), _resolve(one.text("group"), texts)
            found.append(Listener(kind, one.title.removeprefix(base_dir + "/"), path, mode, user, group))
    for one in service.children("inet_listener"):
        port = int(one.text("port"))
        if port == 0:
            continue
        secure = kinds.parse_bool(one.text("ssl"))
        # ssl = no switches all TLS listeners off.
        if secure and texts["ssl"] == "no":
            continue
        addresses = one.text("address") or texts["listen"]
        found.append(
            Listener(
                "inet",
                one.title,
                addresses=tuple(addresses.replace(",", " ").split()),
                port=port,
                ssl=secure,
                reuse_port=kinds.parse_bool(one.text("reuse_port")),
                haproxy=kinds.parse_bool(one.text("haproxy")),
            )
        )
    return found
