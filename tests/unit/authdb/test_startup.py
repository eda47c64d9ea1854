"""What stops a start: the words are Dovecot's, the place is where somebody wrote it."""

from pathlib import Path

import pytest

from pydovecot.authdb.startup import problems_of
from pydovecot.cli import doveconf
from pydovecot.services.config.load import load
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.parser import parse

STATIC = "passdb {\n  driver = static\n  args = password=x\n}\n"
PAM = "passdb {\n  driver = pam\n}\n"


def problems(folder: Path, text: str) -> list[str]:
    (folder / "c").write_text(text)
    return [f"{p.line}: {p.text}" for p in problems_of(parse(str(folder / "c"), expand=True))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (STATIC + "auth_mechanisms = plain scram-sha-256 external apop\n", []),
        (
            PAM + "auth_mechanisms = plain \\\n  scram-sha-1\n",
            ["5: SCRAM-SHA-1 mechanism can't be supported with given passdbs"],
        ),
        (PAM + STATIC + "auth_mechanisms = cram-md5\n", []),
        ("auth_mechanisms = plain foo\n" + STATIC, ["1: Unknown authentication mechanism 'FOO'"]),
        (
            "auth_mechanisms = login\n",
            ["1: No passdbs specified in configuration file. LOGIN mechanism needs one"],
        ),
        ("", ["0: No passdbs specified in configuration file. PLAIN mechanism needs one"]),
        ("protocols =\n", []),
        ("auth_mechanisms =\n" + STATIC, ["1: No authentication mechanisms configured"]),
        (
            "auth_mechanisms = anonymous\nauth_anonymous_username =\n",
            ["1: ANONYMOUS listed in mechanisms, but anonymous_username not set"],
        ),
        ("\npassdb {\n  args = x\n  driver = nope\n}\n", ["4: Unknown passdb driver 'nope'"]),
        (
            STATIC + "userdb {\n  driver = ldap\n}\n",
            ["6: Support not compiled in for userdb driver 'ldap'"],
        ),
        ("passdb {\n  driver = pam\n  args = foo=bar x\n}\n", ["3: pam: Unknown setting: foo=bar"]),
        ("passdb {\n  driver = passwd-file\n}\n", ["1: passdb passwd-file: Missing args"]),
        (
            STATIC + "userdb {\n  driver = sql\n  args = /no/such\n}\n",
            ["7: userdb open(/no/such) failed: No such file or directory"],
        ),
        (
            "passdb {\n  driver = python\n  args = users\n}\nuserdb {\n  driver = nope\n}\n",
            [
                "3: passdb python: args must be module:function or /path/file.py:function, not 'users'",
                "6: Unknown userdb driver 'nope'",
            ],
        ),
    ],
)
def test_what_stops_a_start(tmp_path: Path, text: str, found: list[str]) -> None:
    assert problems(tmp_path, text) == found


def test_code_of_the_administrator_is_not_run_to_find_out(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "users.py").write_text(f"open({str(mark)!r}, 'w')\n")
    text = f"passdb {{\n  driver = python\n  args = {tmp_path}/users.py:find\n}}\n"
    assert problems(tmp_path, text) == []
    assert not mark.exists()


def test_the_master_reads_no_further(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(PAM + "auth_mechanisms = apop\nssl = no\n")
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path / "c"))
    assert caught.value.lines == [
        f"Error in configuration file {tmp_path}/c line 4: "
        "APOP mechanism can't be supported with given passdbs"
    ]
    assert load(str(tmp_path / "c"), open_files=False).base_dir  # pydovecot stop


def test_doveconf_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").write_text(PAM + "auth_mechanisms = apop\nssl = no\n")
    wanted = f"{tmp_path}/c line 4: APOP mechanism can't be supported with given passdbs"
    assert doveconf.main(["--check", "-c", str(tmp_path / "c")]) == 89
    assert wanted in capsys.readouterr().err
    assert doveconf.main(["-n", "-c", str(tmp_path / "c")]) == 0
    assert f"Warning: {wanted}: the server will not start\n" in capsys.readouterr().err
