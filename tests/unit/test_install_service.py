"""The script of `pydovecot install-service`: what it writes, and what it leaves alone."""

import subprocess
from pathlib import Path

import pytest

from pydovecot.cli import install_service

PROGRAM = "/opt/mail server/bin/pydovecot"


@pytest.fixture(scope="module")
def text() -> str:
    share = install_service.find_share()
    assert share is not None
    return "\n".join(install_service.script(share, PROGRAM, systemd=252))


def sh(script: str, *, check: bool = True) -> str:
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, timeout=30)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_is_one(text: str) -> None:
    subprocess.run(["sh", "-n"], input=text, text=True, timeout=30, check=True)


def test_the_unit_starts_this_installation(text: str) -> None:
    assert f'ExecStart="{PROGRAM}" -F\n' in text
    assert "/usr/sbin/pydovecot" not in text
    assert "/usr/libexec/dovecot/mkcert.sh" not in text
    unit = text.partition("/etc/systemd/system/pydovecot.service ")[2].partition("END_OF_FILE\nchmod")[0]
    assert "Conflicts=dovecot.service dovecot.socket\n\n[Service]\n" in unit


def test_newer_directives_only_for_a_newer_systemd(text: str) -> None:
    share = install_service.find_share()
    assert share is not None
    old = "\n".join(install_service.script(share, PROGRAM, systemd=219))
    assert "pydovecot.service.d/hardening.conf" not in old
    assert "pydovecot.service.d/hardening.conf" in text


def test_words_of_a_unit() -> None:
    assert install_service.unit_word("/opt/py/bin/pydovecot") == "/opt/py/bin/pydovecot"
    assert install_service.unit_word("/opt/100% $HOME/x") == '"/opt/100%% $$HOME/x"'


def test_files_are_written_with_their_modes(tmp_path: Path) -> None:
    path = tmp_path / "it's here"
    body = "$HOME `id` \\ 'quoted'\n\nlast line"
    sh(install_service.new_file(str(path), body, mode=0o640))
    assert path.read_text() == body + "\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_exists_stays(tmp_path: Path) -> None:
    path = tmp_path / "dovecot.conf"
    sh(install_service.first_file(str(path), "first"))
    sh(install_service.first_file(str(path), "second"))
    assert path.read_text() == "first\n"


def test_closed_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "home"
    (closed / "venv/bin").mkdir(parents=True)
    monkeypatch.setattr("sys.executable", str(closed / "venv/bin/python"))
    closed.chmod(0o755)
    assert closed not in install_service.closed_folders()
    closed.chmod(0o750)
    assert closed in install_service.closed_folders()


def test_packages_have_their_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install_service, "find_share", lambda: None)
    assert install_service.main([]) == install_service.FAILED
    assert "has its units already" in capsys.readouterr().err


def test_printing_writes_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install_service, "closed_folders", list)
    assert install_service.main([]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "groupadd -r dovenull" in said.out


def test_a_closed_installation_is_not_made_a_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_service, "closed_folders", lambda: [Path("/root")])
    monkeypatch.setattr("subprocess.run", lambda words, **_more: pytest.fail(f"ran {words}"))
    monkeypatch.setattr(install_service, "systemd_version", lambda: 252)
    assert install_service.main(["--write"]) == install_service.FAILED
    assert "/root is not open to all users" in capsys.readouterr().err
