"""Does a configuration make sense? The checks that Dovecot makes after parsing, in its words.

`errors_of` finds what stops the server. Problems have line 0, as Dovecot names the file only; the place of
the value is in the hint. Checks that ask the file system or the network are in `settings.doctor`.
"""

import pwd
import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydovecot.settings import kinds
from pydovecot.settings.effective import Effective, copy, effective, overlay
from pydovecot.settings.errors import Problem
from pydovecot.settings.known import words
from pydovecot.settings.known.modules import AUTH_SETTINGS, MODULES
from pydovecot.settings.tree import Note, Section, Tree, Value

MIN_VSZ_LIMIT: Final = 2**20
# Services that keep all state in one process.
_ONE_PROCESS: Final = frozenset(
    {"anvil", "auth", "director", "indexer", "ipc", "log", "old-stats", "replicator"}
)
_SERVICE_TYPES: Final = frozenset({"", "log", "config", "anvil", "login", "startup", "worker"})

Finding = tuple[str, Value | None]

_LOCATION_KEY: Final = re.compile(r":([A-Z0-9-]+)(?==|:|$)")
# Keys of mail_location that are taken and do nothing here.
LOCATION_KEYS_WITHOUT_EFFECT: Final = frozenset(
    [
        "INDEXPVT",
        "INDEXCACHE",
        "FULLDIRNAME",
        "ALT",
        "ALTNOCHECK",
        "LISTINDEX",
        "ITERINDEX",
        "VOLATILEDIR",
        "BROKENCHAR",
        "NO-NOSELECT",
        "NO-FS-VALIDATION",
    ]
)


def errors_of(tree: Tree) -> list[Problem]:
    """All errors of the configuration as a whole, and of its filter blocks. No doubles."""
    found: dict[str, Problem] = {}
    roots = [tree.root]
    for block in tree.sorted_blocks():
        if block.root.values or block.root.sections:
            merged = copy(tree.root)
            overlay(merged, block.root)
            roots.append(merged)
    for root in roots:
        for text, value in _findings(root):
            hint = f"see {value.file} line {value.line}" if value else ""
            found.setdefault(text, Problem(tree.path, 0, text, hint))
    return list(found.values())


def notes_of(tree: Tree) -> list[Note]:
    """Warnings about the whole configuration."""
    notes = []
    root = effective(tree.root)
    ssl = root.text("ssl")
    inner = next((block.root.values["ssl"].text for block in tree.blocks if "ssl" in block.root.values), "no")
    if ssl == "no" and inner != "no":
        notes.append(
            Note("Warning", f"SSL is disabled because global ssl=no, ignoring ssl={inner} for subsection")
        )
    base_dir = root.text("base_dir").rstrip("/") + "/"
    for service in root.children("service"):
        for kind in ("unix_listener", "fifo_listener"):
            for listener in service.children(kind):
                if listener.title.startswith(base_dir):
                    text = f"You should remove base_dir prefix from {kind}: {listener.title}"
                    notes.append(Note("Warning", text))
    return notes


def not_implemented(tree: Tree, implemented: Mapping[str, frozenset[str]]) -> list[str]:
    """One line for each setting that somebody set, that Dovecot knows, and that does nothing here yet.

    `implemented` has the names of settings for "" (global) and for each kind of section.
    """
    lines = []
    for root in (tree.root, *(block.root for block in tree.blocks)):
        for path, section, key, value in _walk("", root):
            if key in implemented.get(section.type.name, frozenset()) or section.type.free:
                continue
            known = section.type.fields[key]
            if value.text == known.default and not known.unset:
                continue
            since = " (Dovecot 2.2 had it)" if known.since_22_only else ""
            lines.append(
                f"{value.file} line {value.line}: {path}{key} is known{since} but not implemented, it has no"
                " effect"
            )
        loaded = root.values.get("mail_plugins")
        if loaded:
            plugins = implemented.get("mail_plugins", frozenset())
            lines.extend(
                f"{loaded.file} line {loaded.line}: mail_plugins: plugin {name} is not implemented"
                for name in loaded.text.split()
                if name not in plugins
            )
        lines.extend(_drivers(root, implemented.get("storage drivers", frozenset())))
    return [*lines, *_auth_in_protocols(tree)]


def _drivers(root: Section, drivers: frozenset[str]) -> Iterator[str]:
    """Mail locations whose driver is missing: users of it cannot be served."""
    named = [value for path, _, key, value in _walk("", root) if key in ("mail_location", "location")]
    for value in named:
        driver, colon, _ = value.text.partition(":")
        if colon and drivers and driver not in drivers and "%" not in driver:
            yield f"{value.file} line {value.line}: mail storage driver {driver} is not implemented"
        for key in sorted(set(_LOCATION_KEY.findall(value.text)) & LOCATION_KEYS_WITHOUT_EFFECT):
            at = f"{value.file} line {value.line}"
            yield f"{at}: mail location key {key} is not implemented, it has no effect"


def _auth_in_protocols(tree: Tree) -> Iterator[str]:
    """Settings of auth inside protocol {}: Dovecot's auth keeps them apart, ours does not."""
    for block in tree.blocks:
        if not block.filter.protocol:
            continue
        where = f"inside protocol {block.filter.protocol} {{ }}"
        inside = f"{where} has no effect, auth serves all protocols alike"
        for key, value in block.root.values.items():
            of_auth = key.startswith("auth_") or key == "pop3_rpop"
            if of_auth and key in AUTH_SETTINGS and key not in MODULES["login"]:
                yield f"{value.file} line {value.line}: {key} {inside}"
        for kind in ("passdb", "userdb"):
            for section in block.root.of_type(kind):
                yield f"{section.file} line {section.line}: {kind} {inside}"


def _walk(path: str, section: Section) -> Iterator[tuple[str, Section, str, Value]]:
    for key, value in section.values.items():
        yield path, section, key, value
    for (kind, _), child in section.sections.items():
        name = f"{kind} {child.name}" if child.name else kind
        yield from _walk(f"{path}{name} {{ ", child)


def _findings(root: Section) -> Iterator[Finding]:
    whole = effective(root)
    groups = (
        _words,
        _numbers,
        _together,
        _auth,
        _databases,
        _namespaces,
        _master,
        _services,
        _exporters,
        _listeners,
    )
    for check in groups:
        yield from check(whole)


def _words(root: Effective) -> Iterator[Finding]:
    """Settings that are lists of known words."""
    for key, (known, what) in words.LISTS.items():
        # Commas are part of a MIME type.
        separators = " +" if key == "mail_attachment_detection_options" else "[ ,]+"
        for word in re.split(separators, root.text(key)):
            base = word.partition("=")[0] if "=" in word else word.partition(":")[0]
            if word and word not in known and f"{base}=" not in known and f"{base}:" not in known:
                yield what.format(word=word), root.value(key)
    facility = root.text("syslog_facility")
    if facility not in words.SYSLOG_FACILITIES:
        yield f"Unknown syslog_facility: {facility}", root.value("syslog_facility")
    for protocol in root.text("protocols").split():
        if protocol not in _protocols(root):
            yield f"protocols: Unknown protocol: {protocol}", root.value("protocols")


def _protocols(root: Effective) -> set[str]:
    return {service.text("protocol") for service in root.children("service")}


def _numbers(root: Effective) -> Iterator[Finding]:
    for kind in ("uid", "gid"):
        last = int(root.text(f"last_valid_{kind}"))
        if last and int(root.text(f"first_valid_{kind}")) > last:
            text = f"first_valid_{kind} can't be larger than last_valid_{kind}"
            yield text, root.value(f"last_valid_{kind}")
    for key in ("mailbox_idle_check_interval", "imapc_max_idle_time"):
        if root.text(key) == "0":
            yield f"{key} must not be 0", root.value(key)
    if not root.text("listen").strip():
        yield "listen can't be set empty", root.value("listen")
    if kinds.parse_size(root.text("mail_cache_max_size")) > 2**30:
        yield "mail_cache_max_size can't be over 1 GB", root.value("mail_cache_max_size")
    if int(root.text("mail_cache_purge_delete_percentage")) > 100:
        key = "mail_cache_purge_delete_percentage"
        yield f"{key} can't be over 100", root.value(key)
    if kinds.parse_time(root.text("director_user_expire")) < 10:
        yield "director_user_expire is too low", root.value("director_user_expire")
    for key in ("dsync_alt_char", "dsync_hashed_headers"):
        if not root.text(key):
            yield f"{key} must not be empty", root.value(key)
    yield from _hash_format(root)
    yield from _uidl_format(root)


def _together(root: Effective) -> Iterator[Finding]:
    """Settings that need others."""
    if root.text("mail_nfs_index") == "yes":
        if root.text("mmap_disable") != "yes":
            yield "mail_nfs_index=yes requires mmap_disable=yes", root.value("mail_nfs_index")
        elif root.text("mail_fsync") != "always":
            yield "mail_nfs_index=yes requires mail_fsync=always", root.value("mail_nfs_index")
    if root.text("pop3_delete_type") == "flag" and not root.text("pop3_deleted_flag"):
        text = "pop3_delete_type=flag, but pop3_deleted_flag not set"
        yield text, root.value("pop3_delete_type")
    if root.text("ssl_verify_client_cert") == "yes" and not root.text("ssl_ca"):
        yield "ssl_verify_client_cert set, but ssl_ca not", root.value("ssl_verify_client_cert")


def _hash_format(root: Effective) -> Iterator[Finding]:
    key = "mail_attachment_hash"
    text = root.text(key)
    for char in "/-":
        if char in text:
            yield f"{key} setting must not contain '{char}' characters", root.value(key)
            return
    for method in re.findall(r"%\{([^}:]*)", text):
        if method not in words.HASHES:
            yield f"Invalid {key} setting: Unknown hash method: {method}", root.value(key)


def _uidl_format(root: Effective) -> Iterator[Finding]:
    text = root.text("pop3_uidl_format")
    letters = re.findall(r"%[0-9.\-]*[LUEXRHNMDT]*(.)", text.replace("%%", ""))
    if not letters:
        yield "pop3_uidl_format setting doesn't contain any %% variables.", root.value("pop3_uidl_format")
    for letter in letters:
        if letter not in "vufmg":
            yield f"Unknown pop3_uidl_format variable: %{letter}", root.value("pop3_uidl_format")
            return


def _auth(root: Effective) -> Iterator[Finding]:
    if root.text("auth_worker_max_count") == "0":
        yield "auth_worker_max_count must be above zero", root.value("auth_worker_max_count")
    key = "auth_verbose_passwords"
    kind, colon, cut = root.text(key).partition(":")
    if colon and not (cut.isdecimal() and int(cut[:9]) > 0):
        yield f"{key}: Invalid truncation number: '{cut}'", root.value(key)
    elif kind not in ("no", "plain", "sha1", "yes"):
        yield f"{key}: Invalid value", root.value(key)
    if root.text("auth_policy_server_url"):
        if not root.text("auth_policy_hash_nonce"):
            text = "auth_policy_hash_nonce must be set when policy server is used"
            yield text, root.value("auth_policy_server_url")
        elif root.text("auth_policy_hash_mech") not in words.HASHES:
            yield "invalid auth_policy_hash_mech given", root.value("auth_policy_hash_mech")


def _databases(root: Effective) -> Iterator[Finding]:
    for kind in ("passdb", "userdb"):
        for section in root.children(kind):
            if not section.text("driver"):
                yield f"{kind} is missing driver", section.value("name") or _place(section)
    for section in root.children("passdb"):
        if section.text("pass") == "yes" and section.text("result_success") != "return-ok":
            text = "Obsolete pass=yes setting mixed with non-default result_success"
            yield text, section.value("pass")


def _place(section: Effective) -> Value | None:
    written = section.section
    return Value("", written.file, written.line) if written else None


def _namespaces(root: Effective) -> Iterator[Finding]:
    spaces = list(root.children("namespace"))
    by_prefix = {space.text("prefix"): space for space in spaces}
    for space in spaces:
        prefix = space.text("prefix")
        if len(space.text("separator")) > 1:
            text = f"Namespace '{prefix}': Hierarchy separator must be only one character long"
            yield text, space.value("separator")
        alias = space.value("alias_for")
        if alias and alias.text not in by_prefix:
            yield f"Namespace '{prefix}': alias_for points to unknown namespace: {alias.text}", alias
        elif alias and (further := by_prefix[alias.text].value("alias_for")):
            text = f"Namespace '{prefix}': alias_for chaining isn't allowed: {alias.text} -> {further.text}"
            yield text, alias
        for mailbox in space.children("mailbox"):
            for use in mailbox.text("special_use").split():
                if use not in words.SPECIAL_USES:
                    text = f"mailbox {mailbox.title}: unknown special_use: {use}"
                    yield text, mailbox.value("special_use")


def _master(root: Effective) -> Iterator[Finding]:
    for key in ("default_login_user", "default_internal_user"):
        value = root.value(key)
        # The defaults are checked by the master: started by an ordinary user it needs none of them.
        if value and not user_exists(value.text):
            yield f"{key} doesn't exist: {value.text}", value


def user_exists(name: str) -> bool:
    """True for a name or number of a user of this system."""
    if name.isdecimal():
        return True
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True


def _enabled(root: Effective) -> Iterator[Effective]:
    protocols = root.text("protocols").split()
    for service in root.children("service"):
        if not service.text("protocol") or service.text("protocol") in protocols:
            yield service


def _services(root: Effective) -> Iterator[Finding]:
    for number, service in enumerate(root.children("service")):
        if not service.title:
            yield f"Service #{number} is missing name", _place(service)
        if service.text("type") not in _SERVICE_TYPES:
            yield f"Unknown service type: {service.text('type')}", service.value("type")
    for service in _enabled(root):
        name = f"service({service.title})"
        limit = int(service.text("process_limit"))
        if service.title in _ONE_PROCESS and limit > 1:
            yield f"{name}: process_limit must be 1", service.value("process_limit")
        if int(service.text("process_min_avail")) > (limit or int(root.text("default_process_limit"))):
            text = f"{name}: process_min_avail is higher than process_limit"
            yield text, service.value("process_min_avail")
        if 0 < kinds.parse_size(service.text("vsz_limit")) < MIN_VSZ_LIMIT:
            yield f"{name}: vsz_limit is too low", service.value("vsz_limit")
        if service.text("drop_priv_before_exec") == "yes" and service.text("chroot"):
            text = f"{name}: drop_priv_before_exec=yes can't be used with chroot"
            yield text, service.value("drop_priv_before_exec")


def _exporters(root: Effective) -> Iterator[Finding]:
    for metric in root.children("metric"):
        if not metric.title:
            yield "Metric name can't be empty", _place(metric)
        if not metric.text("filter"):
            text = f"metric {metric.title} {{ filter }} is empty - will not match anything"
            yield text, _place(metric)
    for exporter in root.children("event_exporter"):
        if not exporter.title:
            yield "Exporter name can't be empty", _place(exporter)
        form, transport = exporter.text("format"), exporter.text("transport")
        if form not in words.EXPORT_FORMATS:
            yield (
                f"Unknown exporter format '{form}'" if form else "Exporter format name can't be empty",
                (exporter.value("format") or _place(exporter)),
            )
        elif transport not in words.EXPORT_TRANSPORTS:
            what = f"Unknown transport type '{transport}'"
            yield (
                what if transport else "Exporter transport name can't be empty",
                (exporter.value("transport") or _place(exporter)),
            )


def _listeners(root: Effective) -> Iterator[Finding]:
    seen: dict[str, Value | None] = {}
    base_dir = root.text("base_dir").rstrip("/")
    for service in _enabled(root):
        for key, place in _listener_keys(service, base_dir):
            if key in seen:
                # Either may be a default, which has no place.
                yield f"duplicate listener: {key}", place or seen[key]
            seen[key] = place


def _listener_keys(service: Effective, base_dir: str) -> Iterator[tuple[str, Value | None]]:
    for kind in ("unix_listener", "fifo_listener"):
        for one in service.children(kind):
            if kinds.parse_octal(one.text("mode")):
                path = one.title if one.title.startswith("/") else f"{base_dir}/{one.title}"
                yield path, _place(one)
    for one in service.children("inet_listener"):
        if one.text("port") != "0":
            yield f"{one.text('port')}:{one.text('address')}", one.value("port") or _place(one)
