"""The sample configuration, Debian's own, and one as RHEL 7 has it."""

import re
import shutil
from pathlib import Path

import pytest

from pydovecot.services.config.load import load
from pydovecot.settings import dump
from pydovecot.settings.check import errors_of
from pydovecot.settings.effective import effective, merge
from pydovecot.settings.parser import parse
from pydovecot.settings.tree import Query, Tree

SAMPLES = Path(__file__).parents[3] / "etc" / "dovecot"
RHEL7 = Path(__file__).parent / "rhel7"


def shown(tree: Tree) -> list[str]:
    return list(
        dump.human(effective(merge(tree, Query())), tree.sorted_blocks(), dump.Scope.CHANGED, dump.Style())
    )


def everything(tree: Tree) -> list[str]:
    return list(dump.human(effective(merge(tree, Query())), (), dump.Scope.ALL, dump.Style()))


def test_samples_load_without_a_word() -> None:
    tree = parse(str(SAMPLES / "dovecot.conf"), expand=True)
    assert tree.notes == []
    assert errors_of(tree) == []
    assert len(tree.files) == 15
    assert load(str(SAMPLES / "dovecot.conf"), open_files=False).warnings == ()


def test_samples_have_all_the_files() -> None:
    names = {path.name for path in (SAMPLES / "conf.d").iterdir()}
    assert names >= {
        *(f"10-{name}.conf" for name in ("auth", "logging", "mail", "master", "ssl")),
        *("15-lda.conf", "15-mailboxes.conf", "20-imap.conf", "20-lmtp.conf", "20-pop3.conf"),
        *("90-acl.conf", "90-plugin.conf", "90-quota.conf"),
        *(
            f"auth-{name}.conf.ext"
            for name in ("system", "passwdfile", "static", "sql", "ldap", "deny", "master")
        ),
    }


def test_commented_values_are_the_defaults(tmp_path: Path) -> None:
    """Without the "#" in front the same settings hold: `#name = value` shows the default."""
    place = tmp_path / "dovecot"
    shutil.copytree(SAMPLES, place)
    changed = 0
    for path in place.rglob("*.conf"):
        text, count = re.subn(r"^(\s*)#(?=[a-z0-9_]+ =)", r"\1", path.read_text(), flags=re.MULTILINE)
        path.write_text(text)
        changed += count
    assert changed > 150
    before, after = parse(str(SAMPLES / "dovecot.conf")), parse(str(place / "dovecot.conf"))
    assert everything(after) == everything(before)
    assert len(after.root.values) > len(before.root.values)


def test_every_setting_of_a_sample_is_a_value_or_shows_the_default() -> None:
    for path in SAMPLES.rglob("*.conf"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert len(line) <= 120 or line.startswith("#imap_logout_format"), f"{path}:{number}"
            assert not re.match(r"\s*#[^ a-z\n]", line), f"{path}:{number}: {line}"


@pytest.mark.parametrize("name", sorted(path.name for path in (SAMPLES / "conf.d").glob("*.ext")))
def test_each_auth_file_parses(name: str, tmp_path: Path) -> None:
    main = tmp_path / "c"
    main.write_text(f"!include {SAMPLES}/conf.d/{name}\n")
    tree = parse(str(main), expand=True)
    assert errors_of(tree) == []
    assert any(tree.root.of_type("passdb"))


def test_samples_set_the_fast_login_mode_and_defaults_do_not(tmp_path: Path) -> None:
    config = load(str(SAMPLES / "dovecot.conf"), open_files=False)
    for name in ("imap-login", "pop3-login"):
        service = next(one for one in config.services if one.name == name)
        assert (service.service_count, service.client_limit, service.process_min_avail) == (0, 1000, 2)
    (tmp_path / "c").write_text("passdb {\n  driver = pam\n}\n")
    defaults = load(str(tmp_path / "c")).services
    plain = next(one for one in defaults if one.name == "imap-login")
    assert plain.service_count == 1


def test_debians_own_tree_loads(tmp_path: Path) -> None:
    path = Path("/etc/dovecot/dovecot.conf")
    if not path.exists() or "protocols.d" not in path.read_text(errors="replace"):
        pytest.skip("Debian's dovecot-core is not installed")
    config = load(str(path), open_files=False)
    assert config.settings["mail_location"] == "mbox:~/mail:INBOX=/var/mail/%u"


def test_a_rhel_7_tree_loads_unchanged() -> None:
    tree = parse(str(RHEL7 / "dovecot.conf"), expand=True)
    assert errors_of(tree) == []
    assert tree.notes == []
    config = load(str(RHEL7 / "dovecot.conf"), open_files=False)
    settings = config.settings
    assert settings["ssl"] == "required"
    assert settings["ssl_min_protocol"] == "TLSv1"
    assert settings["first_valid_uid"] == "1000"
    assert settings["mbox_write_locks"] == "fcntl"
    assert config.protocols == ("imap", "pop3", "lmtp")
    assert {one.name for one in config.services} >= {"imap-login", "pop3-login", "lmtp", "auth", "dict"}
    listeners = next(one for one in config.services if one.name == "auth").listeners
    assert "/var/spool/postfix/private/auth" in {one.path for one in listeners}
    assert "protocol imap {" in shown(tree)
