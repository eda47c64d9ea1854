"""What the master gets: a configuration with warnings, or all errors at once."""

from pathlib import Path

import pytest

from pydovecot.services.config.load import load
from pydovecot.settings.errors import ConfigError

PASSDB = "passdb {\n driver = pam\n}\n"


def test_warnings_of_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text(
        "mail_home = a#b\nssl_disable = yes\ndirector_servers = x\n"
        "service auth {\n unix_listener /run/dovecot/x {\n mode = 0600\n }\n}\n" + PASSDB
    )
    warnings = load(str(path)).warnings
    for word in ("Ambiguous '#'", "ssl_disable has been renamed", "should remove base_dir prefix"):
        assert any(word in text for text in warnings)
    assert f"{path} line 3: director_servers is known but not implemented, it has no effect" in warnings
    assert len(warnings) == 5


def test_all_errors(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("foo = x\nbar = y\n")
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    assert len(caught.value.lines) == 2
    path.write_text("protocols = foo\nsyslog_facility = bar\n")
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    text = "\n".join(caught.value.lines)
    assert f"Error in configuration file {path}: protocols: Unknown protocol: foo" in text
    assert f"Error in configuration file {path}: Unknown syslog_facility: bar" in text


def test_variables_are_expanded(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("base_dir = /x\nmail_home = $base_dir/no\n")
    with pytest.raises(ConfigError, match=r"line 2: Unknown variable: \$base_dir/no"):
        load(str(path))
    path.write_text("base_dir = /x\nmail_home = $base_dir\n" + PASSDB)
    assert load(str(path)).settings["mail_home"] == "/x"


def test_files_that_are_named_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("ssl_key = <key.pem\nlocal_name a.example {\n  ssl_cert = <gone.pem\n}\n")
    (tmp_path / "key.pem").write_text("x")
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    wanted = f"ssl_cert: Can't open file {tmp_path}/gone.pem: No such file or directory"
    assert caught.value.lines == [f"Error in configuration file {path} line 3: {wanted}"]
    load(str(path), open_files=False)


def test_a_storage_driver_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c"
    namespace = "namespace x {\n prefix = x/\n location = maildir:~/x\n}\n"
    path.write_text(f"mail_location = mdbox:~/mail\n{namespace}{PASSDB}")
    assert load(str(path)).warnings == (f"{path} line 1: mail storage driver mdbox is not implemented",)
    path.write_text("mail_location = maildir:~/M:ALT=/alt:INDEX=/i:NO-NOSELECT\n" + PASSDB)
    keys = ("ALT", "NO-NOSELECT")
    wanted = [f"{path} line 1: mail location key {key} is not implemented, it has no effect" for key in keys]
    assert list(load(str(path)).warnings) == wanted
