"""Grammar rules 5 to 14 over whole files: sections, includes, variables, filters, errors with their place."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.settings.errors import ConfigError
from pydovecot.settings.parser import parse, parse_collecting
from pydovecot.settings.tree import Section, Tree


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "dovecot.conf"


def read(conf: Path, text: str, *, expand: bool = False) -> Tree:
    conf.write_text(text)
    return parse(str(conf), expand=expand)


def errors(conf: Path, text: str | bytes, *, expand: bool = False) -> list[str]:
    conf.write_bytes(text if isinstance(text, bytes) else text.encode())
    _, problems = parse_collecting(str(conf), expand=expand)
    return [f"{problem.line}: {problem.text}" for problem in problems]


def texts(section: Section) -> dict[str, str]:
    return {key: value.text for key, value in section.values.items()}


def test_values_know_their_place_and_what_they_replaced(conf: Path) -> None:
    tree = read(conf, "\nmail_home = /a\n\nmail_home = /b\n")
    value = tree.root.values["mail_home"]
    assert (value.text, value.file, value.line) == ("/b", str(conf), 4)
    assert value.before is not None
    assert (value.before.text, value.before.line) == ("/a", 2)


def test_values_are_in_normal_form(conf: Path) -> None:
    tree = read(conf, "mail_debug = Y\nimap_max_line_length=128k\nimap_idle_notify_interval = 120 s\n")
    assert texts(tree.root) == {
        "mail_debug": "yes",
        "imap_max_line_length": "128 k",
        "imap_idle_notify_interval": "2 mins",
    }


def test_rule_5_files_are_relative_to_the_file_that_names_them(conf: Path) -> None:
    (conf.parent / "sub").mkdir()
    (conf.parent / "sub" / "a.conf").write_text("ssl_cert = <x.pem\n")
    tree = read(conf, "!include sub/a.conf\nssl_key = </k\n")
    assert tree.root.values["ssl_cert"].path == str(conf.parent / "sub" / "x.pem")
    assert tree.root.values["ssl_cert"].text == "<x.pem"
    assert tree.root.values["ssl_key"].path == "/k"


def test_rule_6_variables(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "me")
    text = "mail_plugins = a\nmail_plugins = $mail_plugins b\nmail_home = /x $base_dir $ENV:WHO $ENV:NOBODY\n"
    assert read(conf, text).root.values["mail_plugins"].text == "a b"
    assert read(conf, text).root.values["mail_home"].text == "/x $base_dir $ENV:WHO $ENV:NOBODY"
    assert read(conf, text, expand=True).root.values["mail_home"].text == "/x /run/dovecot me "


def test_rule_6_an_empty_variable_leaves_its_blank(conf: Path) -> None:
    assert read(conf, "mail_plugins = $mail_plugins quota\n").root.values["mail_plugins"].text == " quota"


def test_rule_6_filters_see_the_global_value(conf: Path) -> None:
    tree = read(conf, "mail_plugins = a\nprotocol imap {\nmail_plugins = $mail_plugins b\n}\n")
    assert tree.blocks[0].root.values["mail_plugins"].text == "a b"


def test_rule_6_unknown_variables(conf: Path) -> None:
    assert errors(conf, "mail_home = $base_dri\n", expand=True) == ["1: Unknown variable: $base_dri"]
    assert errors(conf, "mail_home = $base_dri\n") == []
    assert errors(conf, "mail_debug = $x\n") == ["1: Invalid boolean value: $x (use yes or no)"]


def test_debians_protocol_files_start_from_nothing(conf: Path) -> None:
    (conf.parent / "imapd.protocol").write_text("protocols = $protocols imap\n")
    (conf.parent / "pop3d.protocol").write_text("protocols = $protocols pop3\n")
    tree = read(conf, "!include_try *.protocol\n")
    assert tree.root.values["protocols"].text.split() == ["imap", "pop3"]


def test_rule_8_a_missing_brace_names_where_the_section_began(conf: Path) -> None:
    assert errors(conf, "mail_debug = yes\nnamespace a {\n inbox = yes\n") == [
        f"0: Missing '}}' (section started at {conf}:2)"
    ]


def test_rule_8_one_line_sections_do_not_upset_the_rest(conf: Path) -> None:
    assert errors(
        conf, "namespace inbox { inbox = yes }\nmail_debug = yes\nservice a b {\nfoo = bar\n}\n"
    ) == [
        "1: Garbage after '{'",
        "3: Expecting '{'",
    ]


def test_rule_9_includes_are_sorted_and_may_be_inside_sections(conf: Path) -> None:
    for name, home in (("20-b.conf", "/b"), ("10-a.conf", "/a")):
        (conf.parent / name).write_text(f"mail_home = {home}\n")
    (conf.parent / "in.inc").write_text("inbox = yes\n")
    tree = read(conf, "!include *-?.conf\nnamespace x {\n!include in.inc\n}\n!include_try no*.conf\n")
    assert tree.root.values["mail_home"].text == "/b"
    assert tree.root.sections["namespace", "x"].values["inbox"].text == "yes"
    assert [os.path.basename(path) for path in tree.files] == [
        "dovecot.conf",
        "10-a.conf",
        "20-b.conf",
        "in.inc",
    ]


def test_rule_9_braces_in_patterns(conf: Path) -> None:
    for name in ("a", "b", "c"):
        (conf.parent / name).write_text(f"mail_plugins = $mail_plugins {name}\n")
    tree = read(conf, "!include {c,a}\n")
    assert tree.root.values["mail_plugins"].text.split() == ["c", "a"]


def test_rule_9_recursion_and_missing_files(conf: Path) -> None:
    loop = conf.parent / "loop"
    loop.write_text("!include loop\nmail_debug = yes\n")
    found = errors(conf, "!include loop\n!include nothing\n!include_try nothing\n")
    assert found == [f"1: Recursive include file: {loop}", "2: No matches"]


def test_rule_9_a_section_may_end_in_another_file(conf: Path) -> None:
    (conf.parent / "open").write_text("namespace a {\n")
    tree = read(conf, "!include open\ninbox = yes\n}\n")
    assert texts(tree.root.sections["namespace", "a"]) == {"inbox": "yes"}


def test_rule_10_named_sections_are_merged_unnamed_ones_are_not(conf: Path) -> None:
    tree = read(
        conf,
        "service imap {\n client_limit = 1\n}\nservice imap {\n user = x\n}\n"
        "passdb {\n driver = a\n}\npassdb {\n driver = b\n}\nnamespace {\n}\nnamespace {\n}\n",
    )
    assert texts(tree.root.sections["service", "imap"]) == {"client_limit": "1", "user": "x"}
    assert [section.values["driver"].text for section in tree.root.of_type("passdb")] == ["a", "b"]
    assert len(list(tree.root.of_type("namespace"))) == 2


def test_rule_10_a_passdb_name_is_unique(conf: Path) -> None:
    found = errors(conf, "passdb a {\n driver = x\n}\npassdb a {\n driver = y\n}\n")
    assert found == ["4: passdb/a already exists"]


def test_rule_11_blocks_of_one_filter_are_merged(conf: Path) -> None:
    tree = read(
        conf,
        "protocol imap {\n mail_home = a\n}\nlocal 10.0.0.0/8 {\n protocol imap {\n mail_uid = b\n }\n}\n"
        "protocol imap {\n mail_gid = c\n}\n",
    )
    assert [(block.filter.protocol, str(block.filter.local or "")) for block in tree.blocks] == [
        ("imap", ""),
        ("", "10.0.0.0/8"),
        ("imap", "10.0.0.0/8"),
    ]
    assert texts(tree.blocks[0].root) == {"mail_home": "a", "mail_gid": "c"}


@pytest.mark.parametrize(
    ("outer", "inner", "text"),
    [
        ("protocol imap", "local 1.2.3.4", "protocol { local { .. } } not allowed (use local { protocol"),
        ("protocol imap", "remote 1.2.3.4", "protocol { remote { .. } } not allowed"),
        ("protocol imap", "local_name a", "protocol { local_name { .. } } not allowed"),
        ("protocol imap", "protocol pop3", "Nested protocol { protocol { .. } } block not allowed"),
        ("remote 1.2.3.4", "local 1.2.3.4", "remote { local { .. } } not allowed"),
        ("remote 1.2.3.4", "local_name a", "remote { local_name { .. } } not allowed"),
        ("local_name a", "local 1.2.3.4", "local_name { local { .. } } not allowed"),
        (
            "local 1.2.3.4",
            "local 1.2.3.5",
            "local net1 { local net2 { .. } } requires net2 to be inside net1",
        ),
        ("remote 1.0.0.0/8", "remote 2.0.0.0/16", "remote net1 { remote net2 { .. } } requires net2"),
    ],
)
def test_rule_11_filters_nest_in_one_order(conf: Path, outer: str, inner: str, text: str) -> None:
    found = errors(conf, f"{outer} {{\n{inner} {{\nmail_home = x\n}}\n}}\n")
    assert len(found) == 1
    assert found[0].startswith(f"2: {text}")


def test_rule_11_addresses(conf: Path) -> None:
    assert errors(conf, "local 1.2.3.4/33 {\n}\n") == ["1: Invalid network mask: 33"]
    assert errors(conf, "local nosuch.invalid {\n}\n")[0].startswith(
        "1: gethostbyname(nosuch.invalid) failed: "
    )


def test_rule_11_auth_knows_no_addresses(conf: Path) -> None:
    found = errors(conf, "local 1.2.3.4 {\n auth_verbose = yes\n passdb {\n  driver = x\n }\n}\n")
    assert found == [
        "2: Auth settings not supported inside local/remote blocks: auth_verbose",
        "3: Auth settings not supported inside local/remote blocks: passdb",
    ]


def test_rule_11_a_later_global_value_is_warned_about(conf: Path) -> None:
    tree = read(conf, "protocol imap {\n mail_home = a\n}\nmail_home = b\n")
    assert [note.text for note in tree.notes] == [
        f"{conf} line 4: Global setting mail_home won't change the setting inside an earlier filter at"
        f" {conf} line 2"
        f" (if this is intentional, avoid this warning by moving the global setting before {conf} line 2)"
    ]


def test_rule_12_plugin_takes_any_key(conf: Path) -> None:
    tree = read(conf, "plugin {\n anything = at all\n quota = a\n}\nplugin {\n quota = b\n}\n")
    assert texts(tree.root.sections["plugin", ""]) == {"anything": "at all", "quota": "b"}
    assert errors(conf, "plugin {\n foo {\n }\n}\n") == ["2: Section not allowed here"]


def test_rule_14_all_errors_in_one_run_with_hints(conf: Path) -> None:
    conf.write_text(
        "mail_locatoin = x\nservice imap {\n client_limt = 5\n foo {\n  bar = x\n }\n}\nmail_debug = maybe\n"
        "passbd {\n driver = x\n}\n}\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse(str(conf))
    at = f"Error in configuration file {conf} line"
    assert caught.value.lines == [
        f"{at} 1: Unknown setting: mail_locatoin",
        f"{conf} line 1: did you mean mail_location?",
        f"{at} 3: Unknown setting: service {{ client_limt (did you mean client_limit?)",
        f"{at} 4: Unknown setting: service {{ foo {{ foo",
        f"{at} 8: Invalid boolean value: maybe (use yes or no)",
        f"{at} 9: Unknown setting: passbd {{ passbd (did you mean passdb?)",
        f"{at} 12: Unexpected '}}'",
    ]


def test_settings_of_2_2_are_known(conf: Path) -> None:
    tree = read(conf, "stats_memory_limit = 8M\ndirector_doveadm_port = 10\n")
    assert tree.root.values["stats_memory_limit"].text == "8 M"


def test_binary_noise_is_an_error_with_a_line_never_an_exception(conf: Path) -> None:
    noise = bytes(range(255, -1, -1)) * 20
    found = errors(conf, b"mail_debug = yes\n" + noise)
    assert found
    assert found[0].startswith("2: ")


def test_nul_ends_a_line(conf: Path) -> None:
    tree = read(conf, "mail_home = /a\0/b\n")
    assert tree.root.values["mail_home"].text == "/a"


def test_line_ends_of_windows(conf: Path) -> None:
    conf.write_bytes(b"mail_home = /a\r\nnamespace x {\r\n}\r\n")
    assert parse(str(conf)).root.values["mail_home"].text == "/a"


def test_the_main_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"open\(.*nothing\) failed: No such file or directory"):
        parse(str(tmp_path / "nothing"))


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A directory that everybody may enter; root becomes nobody for the test, as root may read everything."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield place
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(place)


def test_an_include_that_may_not_be_read(as_nobody: Path) -> None:
    (as_nobody / "secret").write_text("mail_debug = yes\n")
    (as_nobody / "secret").chmod(0)
    found = errors(as_nobody / "c", "!include secret\n!include_try secret\n")
    assert found == [f"1: Couldn't open include file {as_nobody}/secret: Permission denied"]


def test_an_include_that_is_a_directory(conf: Path) -> None:
    (conf.parent / "folder").mkdir()
    assert errors(conf, "!include folder\n") == [
        f"1: Couldn't open include file {conf.parent}/folder: Is a directory"
    ]


def test_endless_files_are_refused(conf: Path) -> None:
    found = errors(conf, "!include /dev/zero\n")
    assert found == ["1: Couldn't open include file /dev/zero: File too large for a configuration"]


def test_a_file_of_nothing_but_errors_ends_early(conf: Path) -> None:
    assert len(errors(conf, "foo = bar\n" * 100_000)) == 100
