"""The doveconf command: what is ours in it. Output that Dovecot has too is compared in tests/compat."""

from pathlib import Path

import pytest

from pydovecot.cli import doveconf


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "dovecot.conf"
    path.write_text(
        "mail_plugins = a\nmail_plugins = $mail_plugins b\nssl_key = <k\nssl_key_password = geheim\n"
        "protocol imap {\n mail_plugins = $mail_plugins c\n}\nservice imap {\n client_limit = 3\n}\n"
    )
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = doveconf.main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_explain_shows_all_places(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "-c", str(conf), "--explain", "mail_plugins")
    assert status == 0
    assert out.splitlines() == [
        "mail_plugins = a b",
        '  default: ""',
        f"  {conf} line 1: a  (replaced)",
        f"  {conf} line 2: a b  <- in force",
        f"  {conf} line 6 (protocol imap): a b c  (not in this context)",
    ]
    _, out, _ = run(capsys, "-c", str(conf), "-f", "protocol=imap", "--explain", "mail_plugins")
    assert out.splitlines()[0] == "mail_plugins = a b c"
    assert out.splitlines()[-1].endswith("(protocol imap): a b c  <- in force")


def test_explain_sections_defaults_and_secrets(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "-c", str(conf), "--explain", "service/imap/client_limit")
    assert out.splitlines() == [
        "service/imap/client_limit = 3",
        "  default: 1",
        f"  {conf} line 9: 3  <- in force",
    ]
    _, out, _ = run(capsys, "-c", str(conf), "--explain", "mail_fsync")
    assert out == "mail_fsync = optimized\n  default: optimized  <- in force\n"
    _, out, _ = run(capsys, "-c", str(conf), "--explain", "ssl_key_password")
    assert "geheim" not in out
    status, _, err = run(capsys, "-c", str(conf), "--explain", "mail_plugin")
    assert status == 89
    assert "did you mean mail_plugins?" in err


def test_check_finds_what_is_wrong(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "-c", str(conf), "--check")
    assert status == 89
    assert f"{conf} line 3: ssl_key: Can't open file {conf.parent}/k: No such file or directory" in err
    assert "known global settings are implemented" in out
    conf.write_text("protocols = foo\n")
    status, _, err = run(capsys, "-c", str(conf), "--check")
    assert status == 89
    assert "protocols: Unknown protocol: foo" in err


def test_check_is_content_with_a_sane_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "c"
    conf.write_text(
        "ssl = no\nprotocols =\npassdb {\n driver = pam\n}\ndefault_login_user = nobody\n"
        "default_internal_user = daemon\ndefault_internal_group = daemon\n"
    )
    status, out, err = run(capsys, "-c", str(conf), "--check")
    assert (status, out.splitlines()[-1]) == (0, "No errors found."), err


def test_header(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "-n", "-c", str(conf))
    lines = out.splitlines()
    assert lines[0].startswith("# ")
    assert lines[0].endswith(f": {conf}")
    assert lines[1].startswith("# OS: Linux ")
    assert lines[2].startswith("# Hostname: ")


def test_errors_have_status_89_and_hints(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf.write_text("mail_debg = yes\nmail_hoem = x\n")
    status, _, err = run(capsys, "-n", "-c", str(conf))
    at = f"Error in configuration file {conf} line"
    assert status == 89
    assert err.splitlines() == [
        f"doveconf: Fatal: {at} 1: Unknown setting: mail_debg",
        f"doveconf: Error: {conf} line 1: did you mean mail_debug?",
        f"doveconf: Error: {at} 2: Unknown setting: mail_hoem (did you mean mail_home?)",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-X"], "doveconf: invalid option -- 'X'"),
        (["-f"], "doveconf: option requires an argument -- 'f'"),
        (["-f", "foo=bar"], "doveconf: Fatal: Unknown filter argument: foo=bar"),
        (["-i", "nosuch"], "doveconf: Fatal: Unknown instance name: nosuch"),
        (["-c", "/no/such"], "doveconf: Fatal: open(/no/such) failed: No such file or directory"),
    ],
)
def test_wrong_command_lines(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, *arguments)
    assert (status, err.strip()) == (89, message)


def test_unknown_names_get_a_hint_and_status_0_as_in_dovecot(
    conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "-c", str(conf), "-h", "mail_hoem")
    assert (status, out) == (0, "")
    assert "did you mean mail_home?" in err


def test_output_can_be_read_back(conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, first, _ = run(capsys, "-nP", "-c", str(conf))
    again = tmp_path / "again.conf"
    again.write_text(first)
    _, second, _ = run(capsys, "-nP", "-c", str(again))
    assert second.splitlines()[3:] == first.splitlines()[3:]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--help")[1].startswith("usage: doveconf")
    assert run(capsys, "--version")[0] == 0
