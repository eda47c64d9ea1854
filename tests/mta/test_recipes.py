"""What docs/ recommend is what the tests run."""

import re
from pathlib import Path

import pytest

from tests.mta import test_exim, test_postfix_quota, test_postfix_system, test_sendmail, virtual

DOCS = Path(__file__).parents[2] / "docs"


def lines(text: str) -> set[str]:
    """Settings of a configuration; paths, which are the tests' own, are all alike."""
    found = set()
    for line in text.replace("{{", "{").replace("}}", "}").splitlines():
        line = re.sub(r"(?:lmtp:unix:)?(?:\{root\}|/|private/)[^\s:]*", "PATH", line.strip())
        line = line.replace("lmtp:unix:private/dovecot-lmtp", "PATH").replace(" -c PATH", "")
        found.add(re.sub(r"(uid|gid)=\S+", r"\1=ID", line))
    return found


@pytest.mark.parametrize(
    "text",
    [
        virtual.DOVECOT_CONF, virtual.MAIN_CF, test_postfix_system.DOVECOT_CONF, test_postfix_system.MAIN_CF,
        test_postfix_quota.DOVECOT_CONF.replace("storage=10k", "storage=1G"), test_postfix_quota.MAIN_CF,
    ],
    ids=[
        "virtual dovecot.conf", "virtual main.cf", "system dovecot.conf", "system main.cf",
        "quota dovecot.conf", "quota main.cf",
    ],
)  # fmt: skip
def test_the_postfix_recipes(text: str) -> None:
    only_here = {"mail_uid =", "mail_gid =", "auth_verbose = yes", "protocols = imap pop3 lmtp"}
    assert lines(text) - only_here <= lines((DOCS / "postfix.md").read_text())


# What a test needs and a real host has already, or must not have.
EXIM_ONLY_HERE = {
    "exim_path = {program}", "deliver_drop_privilege = true", "primary_hostname = mx.example.test",
    "spool_directory = {spool}", "log_file_path = {spool}PATH", "pid_file_path = {spool}PATH",
    "local_interfaces = 127.0.0.1", "daemon_smtp_ports = {port}", "disable_ipv6 = true",
    "tls_advertise_hosts =", "host_lookup =", "keep_environment =", "begin retry", "* * F,1h,1m",
    "elsewhere:", "driver = redirect",
    "data = :blackhole:",
}  # fmt: skip


@pytest.mark.parametrize(
    "text", [test_exim.DOVECOT_CONF, test_exim.EXIM_CONF], ids=["dovecot.conf", "exim.conf"]
)
def test_the_exim_recipe(text: str) -> None:
    assert lines(text) - EXIM_ONLY_HERE <= lines((DOCS / "exim.md").read_text())


@pytest.mark.parametrize("text", [test_sendmail.LMTP_MC, test_sendmail.LDA_MC], ids=["lmtp", "lda"])
def test_the_sendmail_recipes(text: str) -> None:
    page = re.sub(r"/run/dovecot|/usr/libexec/dovecot", "{spool}", (DOCS / "sendmail.md").read_text())
    assert set(text.replace("{spool}/lmtp", "{spool}/sendmail-lmtp").splitlines()) <= set(page.splitlines())
