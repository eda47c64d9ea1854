"""`pydovecot install-service`: users, directories, units, sample configuration, for an installation by pip.

Prints a shell script; `--write` runs that same script. What is there already stays: users, configuration, PAM
file, certificate. Units are replaced, so that the command is also the step after an upgrade.
"""

import argparse
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pydovecot

UNITS: Final = "/etc/systemd/system"
LIBEXEC: Final = "/usr/local/libexec/dovecot"
MKCERT: Final = f"{LIBEXEC}/mkcert.sh"
# Without `site`, as each message starts it; cli/lda.py calls that when it must.
DELIVERY: Final = """\
import sys
sys.path.append({packages!r})
from pydovecot.cli.lda import main
raise SystemExit(main())"""
SSL_DIR: Final = "/etc/pki/dovecot"
CONFIG_DIR: Final = "/etc/dovecot"
END: Final = "END_OF_FILE"
NEWER_SYSTEMD: Final = 239
FAILED: Final = 75
# By what the distribution has: the PAM files that every service includes.
PAM_INCLUDES: Final = {
    "password-auth": "{kind} include password-auth",
    "common-auth": "@include common-{kind}",
    "system-auth": "{kind} include system-auth",
}
PAM_ALONE: Final = "{kind} required pam_unix.so"


def main(argv: Sequence[str]) -> int:
    """Entry of `pydovecot install-service`."""
    parser = argparse.ArgumentParser(prog="pydovecot install-service", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="do it (as root), instead of printing how")
    arguments = parser.parse_args(argv)
    share = find_share()
    if share is None:
        print("pydovecot: This installation has its units already", file=sys.stderr)
        return FAILED
    text = "\n".join(script(share, command(), systemd_version()))
    if not arguments.write:
        print(text)
    closed = closed_folders()
    for folder in closed:
        print(
            f"pydovecot: {folder} is not open to all users, so services that run as somebody else could not "
            "load their code. Install into a directory that is, as /opt.",
            file=sys.stderr,
        )
    if not arguments.write:
        return 0
    if closed or os.geteuid() != 0:
        print("pydovecot: Nothing was written" + ("" if closed else ": this needs root"), file=sys.stderr)
        return FAILED
    return subprocess.run(["sh", "-e"], input=text, text=True, check=False).returncode


def find_share() -> dict[str, Path] | None:
    """The directories `systemd`, `files` and `dovecot`: of a wheel, else of a source tree."""
    package = Path(pydovecot.__file__).parent
    for found in (
        {name: package / "share" / name for name in ("systemd", "files", "dovecot")},
        {
            "systemd": package.parent / "packaging/systemd",
            "files": package.parent / "packaging/files",
            "dovecot": package.parent / "etc/dovecot",
        },
    ):
        if all(folder.is_dir() for folder in found.values()):
            return found
    return None


def command() -> str:
    """How a unit starts us."""
    beside = Path(sys.executable).parent / "pydovecot"
    found = str(beside) if beside.exists() else shutil.which("pydovecot")
    return found or os.path.abspath(sys.argv[0])


def systemd_version() -> int:
    """Of this machine; 0 when there is none."""
    try:
        done = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    words = done.stdout.split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def closed_folders() -> list[Path]:
    """Directories on the way to our code and to Python that not everybody may enter."""
    ways = [Path(pydovecot.__file__).parent, Path(sys.executable).parent, Path(sys.base_prefix)]
    folders = {folder for way in ways for folder in (way, *way.parents)}
    return sorted(folder for folder in folders if not folder.stat().st_mode & stat.S_IXOTH)


def script(share: dict[str, Path], program: str, systemd: int) -> Iterator[str]:
    """The shell script, in pieces."""
    yield f"# pydovecot {pydovecot.__version__} as a service of this machine. Run as root."
    yield "set -e"
    yield from users()
    yield from folders()
    yield from configuration(share)
    yield from delivery()
    yield from units(share, program, systemd)
    yield "if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi"
    yield from last_words()


def users() -> Iterator[str]:
    """The two users that the server is besides root and the mail users."""
    yield "\n# dovecot: auth and anvil. dovenull: whoever has not logged in yet. Nobody logs in as these."
    yield 'nologin=$(command -v nologin || echo /bin/false)'
    for name, comment in (("dovecot", "Dovecot mail server"), ("dovenull", "Dovecot login user")):
        yield f"getent group {name} >/dev/null || groupadd -r {name}"
        yield (
            f"getent passwd {name} >/dev/null || "
            f'useradd -r -M -g {name} -d /nonexistent -s "$nologin" -c "{comment}" {name}'
        )


def folders() -> Iterator[str]:
    """State and certificates."""
    yield "\n# State, and where mkcert.sh and the sample configuration have the certificate."
    yield "install -d -m 0750 -o dovecot -g dovecot /var/lib/dovecot"
    yield f"install -d -m 0755 {SSL_DIR} {SSL_DIR}/certs {LIBEXEC}"
    yield f"install -d -m 0700 {SSL_DIR}/private"


def configuration(share: dict[str, Path]) -> Iterator[str]:
    """The sample configuration and its helpers; files that exist are left alone."""
    yield "\n# Configuration: only where there is none."
    yield f"if [ ! -e {CONFIG_DIR}/dovecot.conf ]; then"
    for path in sorted(share["dovecot"].rglob("*")):
        if path.is_file():
            target = f"{CONFIG_DIR}/{path.relative_to(share['dovecot'])}"
            yield f"install -d -m 0755 {os.path.dirname(target)}"
            yield first_file(target, path.read_text(encoding="utf-8"))
    yield "fi"
    text = (share["files"] / "dovecot-openssl.cnf").read_text(encoding="utf-8")
    yield first_file(f"{SSL_DIR}/dovecot-openssl.cnf", text)
    yield "install -d -m 0755 /etc/pam.d"
    yield first_file("/etc/pam.d/dovecot", pam_file())


def pam_file() -> str:
    """What PAM does for us, in the words of this distribution."""
    here = (line for name, line in PAM_INCLUDES.items() if os.path.exists(f"/etc/pam.d/{name}"))
    line = next(here, PAM_ALONE)
    lines = [line.format(kind=kind) for kind in ("auth", "account", "session")]
    return "\n".join(["#%PAM-1.0", "auth required pam_nologin.so", *lines])


def delivery() -> Iterator[str]:
    """dovecot-lda, for MTAs that start it."""
    yield "\n# For Postfix: mailbox_command = dovecot-lda, with the whole path."
    code = DELIVERY.format(packages=str(Path(pydovecot.__file__).parents[1]))
    words = shlex.join([sys.executable, "-ISXutf8", "-c", code])
    yield new_file(f"{LIBEXEC}/dovecot-lda", f'#!/bin/sh\nexec {words} "$@"', mode=0o755)
    yield f"ln -sf dovecot-lda {LIBEXEC}/deliver"


def units(share: dict[str, Path], program: str, systemd: int) -> Iterator[str]:
    """Service, socket and what makes the certificate: those of the RPM, with the paths of this machine."""
    yield "\n# Units."
    folder = share["systemd"]
    yield new_file(MKCERT, (share["files"] / "mkcert.sh").read_text(encoding="utf-8"), mode=0o755)
    for path in sorted(folder.iterdir()):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            text = text.replace("/usr/sbin/pydovecot -F", f"{unit_word(program)} -F")
            text = text.replace("/usr/libexec/dovecot/mkcert.sh", MKCERT)
            if path.name == "pydovecot.service":
                # The ports of Dovecot's own package, if that is here as well.
                text = text.replace("\n[Service]", "Conflicts=dovecot.service dovecot.socket\n\n[Service]", 1)
            yield new_file(f"{UNITS}/{path.name}", text)
    if systemd >= NEWER_SYSTEMD:
        for path in sorted((folder / "el8").rglob("*.conf")):
            target = f"{UNITS}/{path.relative_to(folder / 'el8')}"
            yield f"install -d -m 0755 {os.path.dirname(target)}"
            yield new_file(target, path.read_text(encoding="utf-8"))


def unit_word(text: str) -> str:
    """A path as a word of ExecStart=."""
    text = text.replace("%", "%%").replace("$", "$$")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if " " in text else text


def last_words() -> Iterator[str]:
    """What is left to do."""
    said = [
        f"Look at {CONFIG_DIR}/dovecot.conf (mail_location above all), then:",
        "    systemctl enable --now pydovecot",
    ]
    if any(os.path.exists(f"{folder}/dovecot.service") for folder in ("/lib/systemd/system", UNITS)):
        said.insert(1, "    systemctl disable --now dovecot.service dovecot.socket   # the same ports")
    yield f"\nprintf '%s\\n' {' '.join(map(shlex.quote, said))}"


def first_file(path: str, text: str) -> str:
    """Shell lines that write a file which is not there yet."""
    return f"if [ ! -e {shlex.quote(path)} ]; then\n{new_file(path, text)}\nfi"


def new_file(path: str, text: str, mode: int = 0o644) -> str:
    """Shell lines that write a file."""
    assert END not in text
    body = text if text.endswith("\n") else f"{text}\n"
    return f"cat >{shlex.quote(path)} <<'{END}'\n{body}{END}\nchmod {mode:04o} {shlex.quote(path)}"
