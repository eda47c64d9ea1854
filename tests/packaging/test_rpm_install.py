"""Install, upgrade and erase by rpm, in a root where no systemd runs; every dependency is checked by rpm."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import container, rpmfile
from tests.support.rpmfile import Installer

WHY_NOT = rpmfile.why_not() or container.why_not()
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
CONF = "/etc/dovecot/conf.d"


@pytest.fixture
def rpm(rpm_stubs: Path) -> Iterator[Installer]:
    """A Debian root that rpm believes to have what it really has."""
    disk = container.Disk([container.debian_root()])
    try:
        installer = Installer(disk.root)
        installer("-i", str(rpm_stubs))
        with installer.proc():
            yield installer
    finally:
        disk.close()


@pytest.fixture
def installed(rpm: Installer, rpm_file: Path) -> Installer:
    rpm("-i", str(rpm_file))
    return rpm


def file(rpm: Installer, path: str) -> Path:
    return rpm.root / path.lstrip("/")


def test_users_and_directories(installed: Installer) -> None:
    passwd = installed.inside("getent", "passwd", "dovecot", "dovenull")
    assert re.fullmatch(
        "dovecot:x:97:97:Dovecot IMAP server:/usr/libexec/dovecot:/sbin/nologin\n"
        r"dovenull:x:(\d+):\d+:Dovecot's unauthorized user:/usr/libexec/dovecot:/sbin/nologin" + "\n",
        passwd,
    )
    places = ["/run/dovecot", "/run/dovecot/login", "/run/dovecot/empty"]
    places += ["/var/lib/dovecot", "/etc/pki/dovecot/private"]
    assert installed.inside("stat", "-c", "%n %a %U %G", *places).splitlines() == [
        "/run/dovecot 755 root dovecot",
        "/run/dovecot/login 750 root dovenull",
        "/run/dovecot/empty 755 root root",
        "/var/lib/dovecot 750 dovecot dovecot",
        "/etc/pki/dovecot/private 700 root root",
    ]
    assert not file(installed, "/etc/pki/dovecot/certs/dovecot.pem").exists()


def test_users_that_are_there_stay_as_they_are(rpm: Installer, rpm_file: Path) -> None:
    rpm.inside("groupadd", "-g", "97", "other")
    rpm.inside("groupadd", "-g", "400", "dovenull")
    rpm.inside("useradd", "-u", "400", "-g", "400", "-d", "/nonexistent", "-s", "/bin/false", "dovenull")
    rpm("-i", str(rpm_file))
    assert rpm.inside("id", "-u", "dovenull") == "400\n"
    assert rpm.inside("id", "-ng", "dovecot") == "dovecot\n"
    assert rpm.inside("id", "-g", "dovecot") != "97\n"


def test_the_unit_is_off_and_can_be_enabled_by_both_names(installed: Installer) -> None:
    def state(unit: str) -> str:
        return installed.inside("systemctl", "is-enabled", unit, check=False).strip()

    assert [state(unit) for unit in ("pydovecot.service", "pydovecot.socket")] == ["disabled", "disabled"]
    installed.inside("systemctl", "enable", "pydovecot.service")
    link = file(installed, "/etc/systemd/system/multi-user.target.wants/pydovecot.service")
    assert str(link.readlink()).removeprefix("/usr") == "/lib/systemd/system/pydovecot.service"


def test_the_configuration_is_as_on_rhel(installed: Installer) -> None:
    """What its package sets; all else is Dovecot's default."""
    for setting in ("ssl = required", "first_valid_uid = 1000", "mbox_write_locks = fcntl"):
        assert f"{setting}\n" in installed.inside("doveconf", "-n")
    for path in ("certs", "private"):
        assert f" = </etc/pki/dovecot/{path}/dovecot.pem\n" in installed.inside("doveconf", "-nP")
    assert "protocols = imap pop3 lmtp\n" in installed.inside("doveconf", "-a")


def test_nothing_changes_by_running(installed: Installer, tmp_path: Path) -> None:
    assert installed("-V", "pydovecot").stdout == ""
    installed.inside("dovecot", "--version")
    installed.inside("pydovecot", "--build-options")
    installed.inside("doveconf", "-n")
    assert "protocols = imap pop3 lmtp" in installed.inside("pydoveconf", "-a")
    installed.inside("useradd", "-m", "joe")
    message = "From: a@example.org\nSubject: hello\n\nHello.\n"
    (local := file(installed, "/etc/dovecot/local.conf")).write_text("mail_location = maildir:~/Maildir\n")
    installed.inside("/usr/libexec/dovecot/deliver", "-d", "joe", input=message, check=False)
    installed.inside("su", "joe", "-s", "/bin/sh", "-c", "/usr/libexec/dovecot/dovecot-lda", input=message)
    assert len(list(file(installed, "/home/joe/Maildir/new").iterdir())) == 1
    assert installed("-V", "pydovecot").stdout == ""
    local.unlink()


def test_commands_use_the_bundled_python_alone(installed: Installer) -> None:
    """Not PYTHONPATH, not the working directory, not the user's packages, not a python in PATH."""
    trap = file(installed, "/trap")
    trap.mkdir()
    for name in ("apsw", "getopt", "pydovecot", "sitecustomize"):
        (trap / f"{name}.py").write_text("raise SystemExit('trapped')\n")
    (trap / "python3").write_text("#!/bin/sh\necho trapped\n")
    (trap / "python3").chmod(0o755)
    said = installed.inside(
        *("env", "-C", "/trap", "PYTHONPATH=/trap", "PYTHONHOME=/trap", "PATH=/trap:/usr/sbin:/usr/bin"),
        *("pydovecot", "--build-options"),
    )
    assert re.match(r"Build options: python=3\.\d+\.\d+ openssl=\d\.", said)


def test_a_delivery_that_meets_another_version_is_tried_again(installed: Installer) -> None:
    """In the seconds in which rpm puts one file after the other."""
    home = file(installed, "/usr/lib/pydovecot/python/lib")
    module = next(home.glob("python3.*/site-packages/pydovecot/ipc/lda.py"))
    for compiled in (module.parent / "__pycache__").glob("lda.*"):
        compiled.unlink()
    module.write_text("from pydovecot.base import what_the_next_release_has\n")
    said = installed.inside("sh", "-c", "/usr/libexec/dovecot/deliver -d joe 2>&1; echo $?", input="x\n")
    assert "what_the_next_release_has" in said
    assert said.endswith("\n75\n")


def test_upgrade_keeps_what_was_changed(installed: Installer, rpm_newer: Path) -> None:
    changed = file(installed, f"{CONF}/10-mail.conf")
    changed.write_text(changed.read_text() + "mail_location = maildir:~/Maildir\n")
    openssl = file(installed, "/etc/pki/dovecot/dovecot-openssl.cnf")
    openssl.write_text(openssl.read_text().replace("imap.example.com", "mail.example.org"))
    certificate = file(installed, "/etc/pki/dovecot/certs/dovecot.pem")
    certificate.write_text("a certificate\n")
    certificate.chmod(0o600)
    mail = file(installed, "/var/mail/joe")
    mail.write_text("mail\n")
    said = installed("-U", str(rpm_newer))
    assert "10-mail.conf.rpmnew" in said.stderr
    assert changed.read_text().endswith("mail_location = maildir:~/Maildir\n")
    for name in ("10-mail.conf.rpmnew", "10-logging.conf"):
        assert file(installed, f"{CONF}/{name}").read_text().endswith("# A line of the next release.\n")
    assert not file(installed, f"{CONF}/10-logging.conf.rpmnew").exists()
    assert "mail.example.org" in openssl.read_text()
    assert certificate.read_text() == "a certificate\n"
    assert mail.read_text() == "mail\n"
    assert installed("-q", "pydovecot").stdout.count("\n") == 1
    assert "2.host" in installed("-q", "pydovecot").stdout
    verified = installed("-V", "pydovecot", check=False).stdout.splitlines()
    assert sorted(line.split()[-1] for line in verified) == [
        f"{CONF}/10-mail.conf",
        "/etc/pki/dovecot/dovecot-openssl.cnf",
    ]
    assert "mail_location = maildir:~/Maildir" in installed.inside("doveconf", "-n")


def test_erase_leaves_mail_and_changes(installed: Installer) -> None:
    changed = file(installed, f"{CONF}/10-mail.conf")
    changed.write_text(changed.read_text() + "mail_location = maildir:~/Maildir\n")
    kept = {
        "/etc/pki/dovecot/certs/dovecot.pem": "a certificate\n",
        "/etc/pki/dovecot/private/dovecot.pem": "a key\n",
        "/etc/dovecot/local.conf": "# of the administrator\n",
        "/var/mail/joe": "mail\n",
        "/var/lib/dovecot/instances": "state\n",
    }
    for path, text in kept.items():
        file(installed, path).write_text(text)
    said = installed("-e", "pydovecot")
    assert "10-mail.conf.rpmsave" in said.stderr
    saved = file(installed, f"{CONF}/10-mail.conf.rpmsave")
    assert saved.read_text().endswith("mail_location = maildir:~/Maildir\n")
    for path, text in kept.items():
        rest = [place for place in (path, f"{path}.rpmsave") if file(installed, place).exists()]
        assert [file(installed, place).read_text() for place in rest] == [text], path
    left = {
        "/" + str(place.relative_to(installed.root))
        for folder in ("etc", "usr", "var/lib/dovecot", "run")
        for place in file(installed, folder).rglob("*dovecot*")
        if place.is_file() or place.is_symlink()
    }
    certificates = {path for path in kept if path.endswith("dovecot.pem")}
    assert {path.removesuffix(".rpmsave") for path in left} == certificates
    assert not file(installed, "/usr/lib/pydovecot").exists()
    assert not file(installed, "/usr/libexec/dovecot").exists()
    assert not file(installed, "/run/dovecot").exists()
    assert installed.inside("id", "-u", "dovecot") == "97\n"


def test_it_conflicts_with_dovecot(rpm: Installer, rpm_file: Path, tmp_path: Path) -> None:
    spec = tmp_path / "dovecot.spec"
    spec.write_text(
        "Name: dovecot\nVersion: 2.2.36\nRelease: 1\nSummary: x\nLicense: MIT\n"
        "BuildArch: noarch\n%description\n%files\n"
    )
    words = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}", str(spec)]
    subprocess.run(words, capture_output=True, timeout=60, check=True)
    rpm("-i", str(next(tmp_path.rglob("dovecot-*.rpm"))))
    refused = rpm("-i", str(rpm_file), check=False)
    assert refused.returncode
    assert "dovecot conflicts with pydovecot" in refused.stderr


def test_a_missing_library_is_a_refusal(rpm_file: Path, tmp_path: Path) -> None:
    """The stubs are no blank cheque: on a system without them nothing is installed."""
    disk = container.Disk([container.debian_root()])
    try:
        refused = Installer(disk.root)("-i", str(rpm_file), check=False)
        assert "libpam.so.0()(64bit) is needed by pydovecot" in refused.stderr
        assert not (disk.root / "usr/lib/pydovecot").exists()
    finally:
        disk.close()


def test_the_same_sources_make_the_same_package(
    sources: Path, rpm_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another place, later, with other times of files and another umask."""
    project = tmp_path / "another-place"
    ignored = shutil.ignore_patterns("dist")
    shutil.copytree(sources, project, ignore=ignored, copy_function=shutil.copyfile)
    for command in [*project.rglob("*.sh"), *(project / "libexec").iterdir()]:
        command.chmod(0o755)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", rpmfile.query(rpm_file, "--qf", "%{BUILDTIME}\n")[0])
    previous = os.umask(0o077)
    try:
        again = rpmfile.build(project)
    finally:
        os.umask(previous)
    assert rpmfile.digest(again) == rpmfile.digest(rpm_file)
