"""Random configurations made of all known settings and sections: our doveconf against Dovecot's."""

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.cli import doveconf
from pydovecot.settings.schema import SCHEMA, Field, SectionType

DOVECONF = shutil.which("doveconf")
pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(DOVECONF is None, reason="Dovecot is not installed"),
]

VALUES = {
    "bool": ["yes", "no", "Y"],
    "uint": ["5", "0", "17"],
    "port": ["0", "99"],
    "size": ["5k", "1M", "0", "3 G"],
    "time": ["15s", "1 day", "2h"],
    "time_msecs": ["5 s", "10ms"],
    "octal": ["0600", "0666"],
}
TEXTS = ["a", "a b", '"x # y"', "'q'", "foo,bar", "/x/%u", "$base_dir", "</file", '" lead"', "a=b", "a;b:c"]

# Values that are checked against the system or against each other, and what only some builds have.
LEFT_OUT = re.compile(
    r"protocols|listen|base_dir|default_(login|internal)|login_greeting|managesieve_|ssl_verify|log_|process_shut"
    r"|mail_plugin_dir|auth_policy|auth_verbose_passwords|mail_attachment_|pop3_(uidl|delete|rpop)|.*_features"
    r"|.*_workarounds|ssl_options|syslog_|mail_nfs|(first|last)_valid|auth_worker|mail_cache|dsync_|special_use"
    r"|separator|alias_for|type|result_|pass$|vsz_limit|process_|drop_priv|exporter|group_by|fields|filter|mode"
    r"|port|name|path|metric_name|mailbox_idle|imapc_max_idle|auth_username_tr"
)
NAMES = ["a", "b c", "x/y", "imap"]
FILTERS = ["protocol imap", "protocol !pop3", "local 10.0.0.0/8", "remote 1.2.3.4", "local_name a.b"]
OPTIONS = ["-n", "-N", "-a", "-S", "-nP", "-d", "-s"]


class Maker:
    """Makes configurations; equal seeds make equal ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def configuration(self) -> str:
        """A few settings, sections and filters."""
        return "".join(self._part() for _ in range(self.random.randint(1, 7)))

    def _part(self) -> str:
        chance = self.random.random()
        if chance < 0.45:
            return self._setting(SCHEMA, "")
        if chance < 0.75:
            return self._any_section("")
        auth_is_allowed = chance < 0.85
        wanted = self.random.choice(FILTERS[:2] if auth_is_allowed else FILTERS[2:])
        lines = [self._setting(SCHEMA, "  ", auth=auth_is_allowed) for _ in range(3)]
        return f"{wanted} {{\n{''.join(lines)}}}\n"

    def _any_section(self, indent: str) -> str:
        kinds = [kind for kind in SCHEMA.sections.values() if kind.name not in ("event_exporter", "service")]
        return self._section(self.random.choice(kinds), indent)

    def _setting(self, kind: SectionType, indent: str, *, auth: bool = True) -> str:
        fields = [
            field
            for field in kind.fields.values()
            if not LEFT_OUT.match(field.name)
            and not field.since_22_only
            and (auth or not re.match(r"auth_|verbose_proctitle|ssl_client_ca", field.name))
        ]
        field = self.random.choice(fields)
        return f"{indent}{field.name} = {self._value(field)}\n"

    def _value(self, field: Field) -> str:
        return self.random.choice(field.choices or VALUES.get(field.kind, TEXTS))

    def _section(self, kind: SectionType, indent: str) -> str:
        if kind.free:
            lines = [
                f"{indent}  {key} = {self.random.choice(TEXTS)}\n" for key in self.random.sample("abcd", 2)
            ]
            return f"{indent}{kind.name} {{\n{''.join(lines)}{indent}}}\n"
        name = self.random.choice(NAMES)
        lines = (
            [self._setting(kind, f"{indent}  ") for _ in range(self.random.randint(0, 3))]
            if (kind.name != "metric")
            else [f"{indent}  filter = event=x\n"]
        )
        if kind.many:
            name = self.random.choice(["", f"n{self.random.random()}"])
            lines.append(f"{indent}  driver = x\n")
        for child in kind.sections.values():
            if self.random.random() < 0.5:
                lines.append(self._section(child, f"{indent}  "))
        title = f'"{name}" ' if " " in name else f"{name} " if name else ""
        return f"{indent}{kind.name} {title}{{\n{''.join(lines)}{indent}}}\n"


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not re.match(r"#|/?managesieve_|login_greeting|protocols", line):
            yield line


@pytest.mark.parametrize("seed", range(60))
def test_random_configurations_are_shown_alike(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert DOVECONF is not None
    maker = Maker(seed)
    path = tmp_path / "c"
    path.write_text(maker.configuration())
    arguments = ["-c", str(path), maker.random.choice(OPTIONS)]
    theirs = subprocess.run([DOVECONF, *arguments], capture_output=True, text=True, timeout=60, check=False)
    status = doveconf.main(arguments)
    ours = capsys.readouterr()
    assert (status, list(_lines(ours.out))) == (theirs.returncode, list(_lines(theirs.stdout))), ours.err
    assert status == 0, f"the generator makes valid ones: {ours.err}{path.read_text()}"
