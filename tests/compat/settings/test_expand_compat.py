"""% variables: our answers and Dovecot's, asked through the fields of a static userdb."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from pydovecot.settings.expand import expand, user_table
from tests.support.dovecot import DovecotInstance, dovecot_missing

pytestmark = pytest.mark.compat

USER = "Al.ice-x@Sub.Example.ORG"

TEMPLATES = [
    "%u", "%n", "%d", "%{user}", "%{username}", "%{domain}", "%{domain_first}", "%{domain_last}",
    "%Lu", "%Uu", "%LUn", "%Ru", "%LRu", "%Eu", "%Du", "%LDd", "%Tn", "%Xu",
    "%5u", "%3.4u", "%0.3u", "%-3u", "%-2.1n", "%-5.3u", "%40n", "%040n", "%02.3n", "%-30n",
    "%Hu", "%16Hu", "%2.256Hu", "%2.16Hu", "%256Hu", "%Nu", "%16Nu", "%2.256Nu", "%8.4294967295Nu", "%LHu",
    "%Mu", "%5Mu", "%2.26Mu", "%LMu", "%2.2Mu/%2.2Mu",
    "100%%", "%%u", "a%%%u%%b",
    "%{md5:user}", "%{sha1:user}", "%{sha256:user}", "%{sha512:user}", "%{sha1;rounds=2:user}",
    "%{sha1;salt=abc:user}", "%{sha1;rounds=3,salt=x:username}", "%{sha256;format=base64:user}",
    "%{sha1;truncate=8:user}",
    "%{sha1;truncate=12:user}", "%{sha1;truncate=13:user}",
    "%{sha384:user}", "%{sha3-256:user}", "%{sha3-512:user}",
    "%{if;%d;eq;Sub.Example.ORG;yes;no}", "%{if;%n;ne;%n;yes;no}", "%{if;5;==;5;yes;no}",
    "%{if;5;!=;5;yes;no}",
    "%{if;5;<;10;yes;no}", "%{if;5;>;10;yes;no}", "%{if;10;<=;10;yes;no}", "%{if;10;>=;11;yes;no}",
    "%{if;abc;lt;abd;yes;no}", "%{if;abc;gt;abd;yes;no}", "%{if;abc;le;abc;yes;no}",
    "%{if;abc;ge;abd;yes;no}",
    "%{if;%n;*;Al*;yes;no}", "%{if;%n;!*;Al*;yes;no}", "%{if;%n;~;^Al;yes;no}", "%{if;%n;!~;^Al;yes;no}",
    "%{if;a;eq;a;x\\;y;z}", "%{if;%d;ne;;%d;none}", "%{if;1;==;1;%{if;2;==;2;in;out};z}",
    "%{if;%Ld;eq;sub.example.org;%Un;%n}",
    "%L{user}", "%2.3{user}", "%M{username}", "%16H{user}",
]  # fmt: skip


@pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "Dovecot is there")
def test_templates_expand_alike(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"{USER}:x:1000:1000::/x::\n")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    fields = " ".join(f"x{number}=[{template}]" for number, template in enumerate(TEMPLATES))
    conf = (
        "auth_debug = yes\nauth_username_format = %u\npassdb {\n  driver = static\n}\n"
        f"userdb {{\n  driver = passwd-file\n  args = {users}\n  override_fields = {fields}\n}}\n"
    )
    with DovecotInstance(conf, static_users=False) as dovecot:
        with contextlib.suppress(subprocess.CalledProcessError):
            # The answer is too long for doveadm, but auth logs it.
            dovecot.doveadm("user", USER)
        log = dovecot.place.log_text()
    answer = next(line for line in log.splitlines() if "userdb out: USER" in line)
    answers = dict(re.findall(r"\t(x\d+)=\[(.*?)\](?=\t|$)", answer))
    table = user_table(USER)
    wrong = [
        (template, answers.get(f"x{number}"), expand(template, table))
        for number, template in enumerate(TEMPLATES)
        if answers.get(f"x{number}") != expand(template, table)
    ]
    assert wrong == []
