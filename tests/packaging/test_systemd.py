"""The package on a booted machine: what systemd, an administrator and clients see of it."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.installed import DATABASE, PASSWORD, USER, Machine
from tests.support.processtable import Names, Row, documented, table

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

FORKING = """
[Service]
Type=forking
PIDFile=/run/dovecot/master.pid
ExecStart=/usr/sbin/dovecot
ExecReload=/usr/bin/doveadm reload
ExecStop=/usr/bin/doveadm stop
PrivateTmp=true
NonBlocking=yes
"""
# CapabilityBoundingSet= as bits of <linux/capability.h>: CHOWN DAC_OVERRIDE FOWNER KILL SETGID SETUID
# NET_BIND_SERVICE SYS_CHROOT AUDIT_WRITE.
UNIT_CAPABILITIES = sum(1 << bit for bit in (0, 1, 3, 5, 6, 7, 10, 18, 29))


@dataclass
class Installed:
    """A disk with the package, and what was seen while it was installed."""

    layers: list[Path]
    seen: dict[str, str]


@pytest.fixture(scope="module")
def installed(debian: Path, rpm_file: Path, rpm_stubs: Path) -> Iterator[Installed]:
    """`rpm -i` on a running machine, and then what an administrator does first."""
    machine = Machine([debian])
    try:
        machine.boot()
        machine.sh(f"rpm --initdb --dbpath {DATABASE}")
        seen = {"stubs": machine.rpm("-i", rpm_stubs), "install": machine.rpm("-i", rpm_file)}
        seen["verify"] = machine.rpm("-V", "pydovecot")
        seen["users"] = machine.sh("getent passwd dovecot dovenull")
        seen["enabled"] = machine.sh("systemctl is-enabled pydovecot.service pydovecot.socket || true")
        seen["active"] = machine.property("ActiveState")
        seen["files"] = machine.sh("ls -R /etc/pki/dovecot")
        machine.add_user()
        machine.poweroff()
        machine.disk.unmount()
        yield Installed([*machine.disk.layers, machine.disk.upper], seen)
    finally:
        machine.close()


@pytest.fixture(scope="module")
def shared(installed: Installed) -> Iterator[Machine]:
    """A machine whose server runs; tests leave it running."""
    machine = Machine(installed.layers)
    try:
        machine.boot()
        machine.sh("systemctl start pydovecot")
        yield machine
    finally:
        machine.close()


@pytest.fixture
def machine(installed: Installed) -> Iterator[Machine]:
    """A machine that was just switched on."""
    machine = Machine(installed.layers)
    try:
        machine.boot()
        yield machine
    finally:
        machine.close()


def test_install_starts_nothing(installed: Installed) -> None:
    assert installed.seen["install"] == installed.seen["verify"] == ""
    dovecot, dovenull = (line.split(":") for line in installed.seen["users"].splitlines())
    assert dovecot[2:4] == ["97", "97"]
    assert dovecot[5:] == dovenull[5:] == ["/usr/libexec/dovecot", "/sbin/nologin"]
    assert installed.seen["enabled"].split() == ["disabled", "disabled"]
    assert installed.seen["active"] == "inactive"
    assert "dovecot.pem" not in installed.seen["files"]


def test_enable_start_login(machine: Machine) -> None:
    said = machine.run("systemctl", "enable", "pydovecot")
    link = "/etc/systemd/system/multi-user.target.wants/pydovecot.service"
    assert re.search(rf"Created symlink {link} (→|to) \S*/systemd/system/pydovecot.service\.", said.stderr)
    assert machine.property("ActiveState") == "inactive"
    assert machine.run("ls", "/etc/pki/dovecot/certs/dovecot.pem", check=False).returncode
    machine.sh("systemctl start pydovecot")
    status = machine.sh("systemctl status pydovecot --no-pager")
    assert re.search(r'Status: "v\S+ serves imap, pop3, lmtp"', status)
    assert "Active: active (running)" in status
    assert machine.certificate() == machine.certificate(995) == machine.certificate_file()
    assert machine.sh("stat -c '%a %U %G' /etc/pki/dovecot/private/dovecot.pem").strip() == "600 root root"
    assert machine.subjects() == ["welcome"]
    assert machine.pop3_count() == 1
    # What old scripts and the chapter say.
    assert machine.property("MainPID", "dovecot") == machine.property("MainPID")


def test_journal(shared: Machine) -> None:
    shared.subjects()
    journal = shared.journal()
    assert re.search(r"^master: pydovecot v\S+ starting up for imap, pop3, lmtp", journal, re.M)
    login = f"imap-login: Login: user=<{USER}>, method=PLAIN"
    shared.wait_for("login line", lambda: login in shared.journal())
    assert PASSWORD not in shared.journal()
    assert "SYSLOG_FACILITY=2" in shared.sh("journalctl -b --no-pager -o verbose -t dovecot -n 1")
    assert "Error" not in journal and "Fatal" not in journal and "Traceback" not in journal


def test_process_table(shared: Machine) -> None:
    """docs/security.md lists every process, and each is as the table says."""
    imap, pop3 = shared.imap(), shared.pop3()
    held = [shared.hold(f"/run/dovecot/{name}") for name in ("lmtp", "lda", "doveadm-server")]
    names = Names(
        shared.database("passwd") | {int(shared.sh(f"id -u {USER}")): "mail user"},
        shared.database("group") | {int(shared.sh(f"id -g {USER}")): "mail user"},
        {"/run/dovecot/login": "login", "/run/dovecot/empty": "empty", "/": "/"},
        UNIT_CAPABILITIES,
    )
    master = shared.host_pid(int(shared.property("MainPID")))
    rows = documented()
    seen: set[Row] = set()

    def as_documented() -> bool:
        """Those that have just come are root first."""
        seen.clear()
        found = table(master, Path("/run/dovecot"), list(names.roots), shared.inside)
        seen.update(names.row(process) for process in found)
        return seen == set(rows.values())

    with contextlib.suppress(AssertionError):  # said better by the next line
        shared.wait_for("processes", as_documented)
    assert {row.name: row for row in seen} == rows
    assert len(seen) == len(rows)  # processes of one name are alike
    imap.logout()
    pop3.quit()
    for sock in held:
        sock.close()


def test_reload_keeps_sessions(shared: Machine) -> None:
    client = shared.imap()
    client.select("INBOX")
    pid = shared.property("MainPID")
    shared.sh("echo 'login_greeting = changed by a reload' >> /etc/dovecot/dovecot.conf")
    shared.sh("systemctl reload pydovecot")
    shared.wait_for("reload", lambda: "reloaded" in shared.property("StatusText"))
    assert client.noop()[0] == "OK"
    assert client.fetch("1", "FLAGS")[0] == "OK"
    shared.wait_for("new greeting", lambda: b"changed by a reload" in greeting(shared))
    client.logout()
    assert shared.property("MainPID") == pid
    assert shared.property("NRestarts") == "0"


def greeting(machine: Machine) -> bytes:
    with machine.connect(143) as sock:
        return sock.recv(1000)


def test_reload_of_a_broken_configuration(shared: Machine) -> None:
    shared.sh("echo 'no_such_setting = 1' > /etc/dovecot/conf.d/99-broken.conf; systemctl reload pydovecot")
    shared.wait_for("refusal", lambda: "reload failed" in shared.property("StatusText"))
    assert shared.greets(143)
    shared.sh("rm /etc/dovecot/conf.d/99-broken.conf; systemctl reload pydovecot")
    shared.wait_for("reload", lambda: "reloaded" in shared.property("StatusText"))
    assert shared.property("SubState") == "running"


def dies(machine: Machine, script: str) -> None:
    """The service comes back by itself after `script`, and nothing of the old tree is left."""
    client = machine.imap()
    try:
        _dies(machine, script)
    finally:
        client.shutdown()


def _dies(machine: Machine, script: str) -> None:
    old, pid = machine.tree(), machine.property("MainPID")
    machine.sh(script.format(pid=pid))
    machine.wait_for("restart", lambda: machine.property("MainPID") not in (pid, "0"))
    machine.wait_for("ready", lambda: machine.property("SubState") == "running")
    old.discard(0)  # a process that the container cannot name: just ending, or of outside
    # Children of a killed master see it at once, but may need a moment on a busy machine.
    machine.wait_for("the end of the old tree", lambda: not old & machine.tree())
    assert not [number for number in old if (machine.inside / f"proc/{number}").exists()]
    assert all(machine.greets(port) for port in (110, 143))
    assert machine.subjects() == ["welcome"]


def test_master_killed(shared: Machine) -> None:
    before = int(shared.property("NRestarts"))
    dies(shared, "kill -9 {pid}")
    assert int(shared.property("NRestarts")) == before + 1


def test_watchdog(shared: Machine) -> None:
    drop_in = "/run/systemd/system/pydovecot.service.d/fast.conf"
    shared.sh(f"mkdir -p {os.path.dirname(drop_in)}; printf '[Service]\\nWatchdogSec=5\\n' > {drop_in}")
    shared.sh("systemctl daemon-reload; systemctl restart pydovecot")
    # It feeds the watchdog without being asked.
    pid, fed = shared.property("MainPID"), shared.property("WatchdogTimestampMonotonic")
    shared.wait_for("feeding", lambda: shared.property("WatchdogTimestampMonotonic") != fed)
    assert shared.property("MainPID") == pid
    dies(shared, "kill -STOP {pid}")
    assert "Watchdog timeout" in shared.journal()
    shared.sh(f"rm {drop_in}; systemctl daemon-reload; systemctl restart pydovecot")


def test_protocols_and_the_ssl_procedure(machine: Machine) -> None:
    """The steps of RHEL 7's chapter, with the unit as it is there: without the drop-in."""
    machine.sh("rm -r /usr/lib/systemd/system/pydovecot.service.d; systemctl daemon-reload")
    machine.sh("systemctl enable dovecot; systemctl start dovecot")
    assert machine.greets(110)
    machine.sh("echo 'protocols = imap lmtp' >> /etc/dovecot/dovecot.conf; systemctl restart dovecot")
    assert not machine.greets(110)
    assert machine.greets(143)
    old = machine.certificate()
    machine.sh(
        """
        echo 'ssl_protocols = !SSLv2 !SSLv3' >> /etc/dovecot/conf.d/10-ssl.conf
        cd /etc/pki/dovecot
        sed -i 's/CN *=.*/CN = mail.example.org/' dovecot-openssl.cnf
        mv certs/dovecot.pem certs/old.pem; mv private/dovecot.pem private/old.pem
        cd /
        /usr/libexec/dovecot/mkcert.sh
        systemctl restart dovecot
        """
    )
    new = machine.certificate()
    assert new != old
    assert new == machine.certificate_file()
    subject = machine.sh("openssl x509 -noout -subject -in /etc/pki/dovecot/certs/dovecot.pem")
    assert "CN = mail.example.org" in subject
    assert machine.subjects() == ["welcome"]
    assert machine.run("/usr/libexec/dovecot/mkcert.sh", check=False).returncode == 1
    machine.reboot()
    machine.wait_for("ready", lambda: machine.property("SubState") == "running")
    assert machine.certificate() == new
    assert machine.subjects() == ["welcome"]
    assert not machine.greets(110)


def test_unit_of_rhel_7s_dovecot(machine: Machine) -> None:
    """Somebody's own unit in Dovecot's manner: Type=forking, a pid file, doveadm to reload and stop."""
    machine.run("tee", "/etc/systemd/system/dovecot-old.service", input=FORKING)
    machine.sh("/usr/libexec/dovecot/mkcert.sh; systemctl daemon-reload; systemctl start dovecot-old")
    pid = machine.property("MainPID", "dovecot-old")
    assert machine.sh("cat /run/dovecot/master.pid").strip() == pid
    client = machine.imap()
    machine.sh("echo 'login_greeting = forked' >> /etc/dovecot/dovecot.conf; systemctl reload dovecot-old")
    machine.wait_for("new greeting", lambda: b"forked" in greeting(machine))
    assert client.noop()[0] == "OK"
    assert machine.property("MainPID", "dovecot-old") == pid
    client.logout()
    machine.sh("systemctl stop dovecot-old")
    assert machine.property("Result", "dovecot-old") == "success"
    assert not machine.greets(143)


def test_socket_activation(machine: Machine) -> None:
    machine.sh("systemctl start pydovecot.socket")
    for _time in range(2):
        assert machine.property("ActiveState") == "inactive"
        assert machine.greets(143)
        assert machine.property("SubState") == "running"
        assert machine.subjects() == ["welcome"]
        assert machine.pop3_count() == 1
        holders = machine.sh("ss -Hltnp sport = :143")
        assert '"systemd",pid=1,' in holders
        assert f"pid={machine.property('MainPID')}," in holders
        assert "systemd listens on" not in machine.journal()
        machine.sh("systemctl stop pydovecot.service")


def test_upgrade_and_erase(machine: Machine, rpm_newer: Path) -> None:
    machine.sh("systemctl enable pydovecot; systemctl start pydovecot")
    pid = machine.property("MainPID")
    certificate = machine.certificate()
    assert machine.subjects() == ["welcome"]
    machine.sh("echo 'login_greeting = mine' >> /etc/dovecot/dovecot.conf")
    changed = {line.split()[-1] for line in machine.rpm("-V", "pydovecot", check=False).splitlines()}
    assert changed == {"/etc/dovecot/dovecot.conf", "/etc/dovecot/conf.d/10-mail.conf"}

    machine.rpm("-U", rpm_newer)
    assert "pydovecot-0.1.0-2.host" in machine.rpm("-q", "pydovecot")
    assert machine.property("MainPID") not in (pid, "0")
    assert b"mine" in greeting(machine)
    assert machine.certificate() == certificate
    assert machine.subjects() == ["welcome"]
    assert machine.property("UnitFileState") == "enabled"
    changed = {line.split()[-1] for line in machine.rpm("-V", "pydovecot", check=False).splitlines()}
    assert changed == {"/etc/dovecot/dovecot.conf", "/etc/dovecot/conf.d/10-mail.conf"}

    tree = machine.tree()
    machine.rpm("-e", "pydovecot")
    assert machine.property("LoadState") == "not-found"
    assert not any((machine.inside / f"proc/{pid}").exists() for pid in tree)
    assert not machine.greets(143)
    left = machine.sh("find / -xdev -iname '*dovecot*' -not -path '/root/*' -not -path '/home/*'").split()
    assert set(left) == {
        "/etc/dovecot",
        "/etc/dovecot/dovecot.conf.rpmsave",
        "/etc/pki/dovecot",
        "/etc/pki/dovecot/certs/dovecot.pem",
        "/etc/pki/dovecot/private/dovecot.pem",
        "/var/lib/dovecot",
    }
    # rpmnew is what the newer package would have had in place of the changed file.
    assert machine.sh("ls /etc/dovecot/conf.d").split() == ["10-mail.conf.rpmnew", "10-mail.conf.rpmsave"]
    assert "Subject: welcome" in machine.sh(f"cat /var/mail/{USER}")
    assert machine.sh("getent passwd dovecot dovenull").count("\n") == 2
