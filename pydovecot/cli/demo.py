"""`pydovecot demo`: a whole server to try out, in the foreground, in a directory of its own.

Two users with sample mail, TLS with a certificate made on the spot, high ports. Runs as root or as anybody;
Ctrl-C stops everything, and the directory goes unless `--dir` named it.
"""

import argparse
import os
import pwd
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pydovecot.cli import demo_mail
from pydovecot.cli.roles import ROLES
from pydovecot.services.config.load import load
from pydovecot.services.master.master import Master, Options, freeze
from pydovecot.services.master.parse import Reader
from pydovecot.settings.master import Configuration

USERS: Final = {"alice": "wonder", "bob": "builder"}
PORTS: Final = {"imap": 1143, "imaps": 1993, "pop3": 1110, "pop3s": 1995}
ROOT_MAIL_UID: Final = 30143  # as root: an uid of nobody else owns the mail; it needs no passwd entry


@dataclass(frozen=True, slots=True)
class Place:
    """Directory and ports of one demo."""

    root: Path
    ports: dict[str, int]

    @property
    def config(self) -> Path:
        return self.root / "dovecot.conf"

    @property
    def cert(self) -> Path:
        return self.root / "cert.pem"

    @property
    def key(self) -> Path:
        return self.root / "key.pem"


def main(argv: Sequence[str]) -> int:
    """Entry of `pydovecot demo`."""
    parser = argparse.ArgumentParser(prog="pydovecot demo", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, help="use and keep this directory (default: a temporary one)")
    parser.add_argument(
        "--quiet", action="store_true", help="log to a file in the directory, not to the terminal"
    )
    arguments = parser.parse_args(argv)
    temporary = arguments.dir is None
    root = Path(tempfile.mkdtemp(prefix="pydovecot-demo-")) if temporary else arguments.dir.absolute()
    try:
        place = prepare(root, quiet=arguments.quiet)
        freeze()
        reader = Reader(load, Configuration.from_json)
        options = Options(
            config_file=str(place.config),
            roles=ROLES,
            reader=reader,
            foreground=True,
            on_ready=lambda: print(instructions(place), flush=True),
        )
        return Master(options).run()
    finally:
        if temporary:
            shutil.rmtree(root, ignore_errors=True)


def prepare(root: Path, *, quiet: bool = False) -> Place:
    """Make directory, certificate, users, mail and configuration; what is there already stays."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)  # the mail user and the login user must get to their parts
    place = Place(root, {name: _free(port) for name, port in PORTS.items()})
    if not place.cert.exists():
        make_certificate(place.cert, place.key)
    uid, gid = (ROOT_MAIL_UID, ROOT_MAIL_UID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    mail = root / "mail"
    if not mail.exists():
        now = datetime.now(UTC)
        demo_mail.deliver(mail / "alice/Maildir", demo_mail.ALICE, "Alice <alice@demo.example>", now)
        demo_mail.deliver(
            mail / "alice/Maildir/.Archive", demo_mail.ARCHIVE, "Alice <alice@demo.example>", now
        )
        (mail / "alice/Maildir/.Archive/maildirfolder").touch()
        (mail / "alice/Maildir/subscriptions").write_text("Archive\n")
        demo_mail.deliver(mail / "bob/Maildir", demo_mail.BOB, "Bob <bob@demo.example>", now)
        for found in (mail, *mail.rglob("*")):
            os.chown(found, uid, gid)
    users = root / "users"
    users.write_text("".join(f"{n}:{{PLAIN}}{p}:{uid}:{gid}::{mail}/{n}\n" for n, p in USERS.items()))
    users.chmod(0o644)  # the auth process is another user than root; the passwords are no secret
    place.config.write_text(render(place, users, quiet=quiet))
    return place


def render(place: Place, users: Path, *, quiet: bool) -> str:
    """dovecot.conf of the demo."""
    ports = "".join(
        f"service {protocol}-login {{\n"
        f"  inet_listener {protocol} {{\n    port = {place.ports[protocol]}\n  }}\n"
        f"  inet_listener {protocol}s {{\n    port = {place.ports[f'{protocol}s']}\n    ssl = yes\n  }}\n}}\n"
        for protocol in ("imap", "pop3")
    )
    accounts = (
        ""
        if os.geteuid()
        else (
            f"default_internal_user = {_account('dovecot', 'daemon')}\n"
            f"default_internal_group = {_account('dovecot', 'daemon')}\n"
            f"default_login_user = {_account('dovenull', 'nobody')}\n"
        )
    )
    return f"""\
# A demonstration; `pydovecot demo` writes this file at every start.
base_dir = {place.root}/run
state_dir = {place.root}/state
log_path = {place.root / "log" if quiet else "/dev/stderr"}
listen = 127.0.0.1
protocols = imap pop3
verbose_proctitle = yes
first_valid_uid = 1
ssl_cert = <{place.cert}
ssl_key = <{place.key}
mail_location = maildir:~/Maildir
{accounts}passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = passwd-file
  args = {users}
}}
namespace inbox {{
  inbox = yes
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
}}
{ports}"""


def instructions(place: Place) -> str:
    """What to paste into another terminal."""
    imap, imaps, pop3s = (place.ports[name] for name in ("imap", "imaps", "pop3s"))
    name, password = next(iter(USERS.items()))
    logins = ", ".join(f"{n} (password {p})" for n, p in USERS.items())
    return f"""
The server runs in {place.root}
Users: {logins}
Ports on 127.0.0.1: {", ".join(f"{n} {p}" for n, p in place.ports.items())}

Paste into another terminal:

  curl --cacert {place.cert} -u {name}:{password} 'imaps://localhost:{imaps}/INBOX;MAILINDEX=1'
  curl --cacert {place.cert} -u {name}:{password} 'imaps://localhost:{imaps}/' -X 'LIST "" "*"'
  curl --cacert {place.cert} -u {name}:{password} 'pop3s://localhost:{pop3s}/1'
  openssl s_client -connect localhost:{imaps} -CAfile {place.cert} -crlf -quiet
  openssl s_client -connect localhost:{imap} -starttls imap -CAfile {place.cert} -crlf -quiet
      (then type: a login {name} {password}, b select inbox, c fetch 1:* (flags envelope), d logout)
  mutt -e 'set certificate_file={place.cert}' -f imaps://{name}:{password}@localhost:{imaps}/

Ctrl-C stops everything.
"""


def make_certificate(cert: Path, key: Path) -> None:
    """A self-signed certificate for localhost, valid for a year."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.DNSName(socket.gethostname()),
            x509.IPAddress(IPv4Address("127.0.0.1")),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    format_ = serialization.PrivateFormat.PKCS8
    fd = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as file:
        file.write(private.private_bytes(pem, format_, serialization.NoEncryption()))
    cert.write_bytes(made.public_bytes(pem))


def _free(port: int) -> int:
    """`port`, or any free one when it is taken."""
    for wanted in (port, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            found: int = sock.getsockname()[1]
            return found
    sys.exit("no free port on 127.0.0.1")


def _account(wanted: str, instead: str) -> str:
    """A user of Dovecot's packages, or one that every system has."""
    try:
        pwd.getpwnam(wanted)
    except KeyError:
        return instead
    return wanted
