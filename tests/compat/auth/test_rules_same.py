"""What the settings of passdbs and userdbs make of a user: our answers and log lines are Dovecot's.

Each configuration gets the same questions on both servers (tests/support/authduel.py).
"""

from collections.abc import Iterator

import pytest

from tests.support.authduel import Ask, Duel, Login, Question, Write
from tests.support.dovecot import dovecot_missing

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
]

FILES = {
    "users": "bob:{PLAIN}x:7:7::/f/bob::p=1 userdb_q=2\nalice@d.org:{PLAIN}x:8:8::/f/ad\n",
    "open": "a:::::::nopassword=y\nb::::::\nc:x::::::nopassword=y\nd\n",
}
FILES["changing"] = FILES["d/changing"] = "bob@d:{PLAIN}x:7:7::/f/bob::p=1\n"
# Each line is another one: fields that are missing, empty or wrong, the forms of other programs.
FILES["odd"] = """\
# comment
 spaced:{PLAIN}x
a:{PLAIN}x:1000:1000:gecos:/home/a:/bin/sh:userdb_mail=maildir:~/M:INBOX=~/I userdb_q=a:b
b:x
c
d:
e:{PLAIN}x:daemon:mail::/e::
f:{PLAIN}x:0:0::/f::
g:{PLAIN}x:nosuch:mail::/g::
h:{PLAIN}x:5:nosuch::/h::
i:9dd4e461268c8034f5c8564e155c67a6[34]
j:abJnggxhB/yWI[13]
k:$1$abcdefgh$irWbblnpmw.5z7wgBnprh0
l:{NOSUCH}x
m:{PLAIN}x::::::a=1 b  c=%u d=%%e e=%n f=
n:{PLAIN}x:::::::maildir:~/old userdb_z=1
o:{PLAIN}x:::::: :maildir
p:{PLAIN}x y:5:5::/p p::user=q
q:{PLAIN}x:5:5::/q/%u::userdb_home=/other
UPPER:{PLAIN}x
r@d.org:{PLAIN.B64}eA==:5:5::/r::
s:{plain}x:5:5::/s::
t:{PLAIN}x\r
u:{}x
v:{PLAIN
w:{MD5-CRYPT}$1$abcdefgh$irWbblnpmw.5z7wgBnprh0
:nouser
z:{PLAIN}x:5
"""
ODD = (*"abcdefghijklmnopqrstuvwz", "r@d.org", "upper", "spaced")


@pytest.fixture(scope="module")
def duel() -> Iterator[Duel]:
    with Duel() as made:
        yield made


def section(what: str, keys: dict[str, str]) -> str:
    keys = {"driver": "static", **keys}
    return what + " {\n" + "".join(f"  {key} = {value}\n" for key, value in keys.items()) + "}\n"


def passdb(**keys: str) -> str:
    return section("passdb", keys)


def userdb(**keys: str) -> str:
    return section("userdb", keys)


ALL = userdb(args="uid=5 gid=5 home=/h/%u allow_all_users=yes")
RIGHT, WRONG = {"args": "password=x r=1"}, {"args": "password=y w=1"}
FILE, BROKEN = (
    {"driver": "passwd-file", "args": "{dir}/users"},
    {"driver": "passwd-file", "args": "{dir}/users/x"},
)
PLAIN: list[Question] = [
    Login("alice", "x"),
    Login("alice", "y"),
    Login("alice@d.org", "x", mech="LOGIN"),
    Ask("PASS", "alice"),
    Ask("USER", "alice"),
]
SCRAM: list[Question] = [Login("alice", "x", mech="SCRAM-SHA-1"), Login("alice", "y", mech="SCRAM-SHA-256")]
BOB: list[Question] = [
    Login("bob", "x"),
    Login("bob", "z"),
    Ask("PASS", "bob"),
    Ask("USER", "bob"),
    Ask("USER", "nobody"),
    Ask("PASS", "nobody"),
    Ask("LIST"),
]
MASTERS: list[Question] = [
    Login("bob*boss", "m"),
    Login("bob*boss", "n"),
    Login("zz*boss", "m"),
    Login("boss", "m", authzid="bob"),
    Login("boss", "m", authzid="zz"),
    Login("bob*bob", "x"),
    Login("bob", "x", authzid="bob"),
    Login("boss", "m"),
    Login("bob*", "m"),
    Login("*boss", "m"),
    Login("a*b*c", "m"),
    Login("bob*boss", "m", mech="LOGIN"),
    Login("bob*boss", "m", mech="SCRAM-SHA-256"),
    Ask("USER", "bob*boss"),
    Ask("PASS", "bob*boss"),
]
NAMES: list[Question] = [
    *(
        Login(name, "x")
        for name in (
            *("alice", "Alice@D.org", "a/b@c", "a#b", "a@b@c", "al ice", "ali:ce", "älice"),
            *("@", "@d", "a@", ".", "x" * 300, "a%u", "a+b", "a-b"),
        )
    ),
    *(Ask("USER", name) for name in ("alice", "Alice@D.org", "a/b@c", "@", "@d", "älice", "a%u", "a b")),
    Ask("PASS", "Alice"),
]
PASSWORDS: list[Question] = [
    Login("bob", "se"),
    Login("bob", "secret\x01x"),
    Login("nobody", "secret"),
    Login("bob", "y"),
    Login("al ice", "secret"),
]
NAMED = userdb(args="uid=5 gid=5 home=/h/%u/%n/%d allow_all_users=yes")
RULES = ("return-ok", "return", "return-fail", "continue", "continue-ok", "continue-fail")
Case = tuple[str, list[Question]]


def _rules() -> Iterator[tuple[str, Case]]:
    for rule in RULES:
        # Dovecot verifies SCRAM's proof even where the rules let nobody in: another log line.
        more = [] if "return" in rule else SCRAM
        yield f"success {rule}", (passdb(**RIGHT, result_success=rule) + passdb(**WRONG) + ALL, PLAIN + more)
        yield f"success file {rule}", (passdb(**RIGHT, result_success=rule) + passdb(**FILE) + ALL, BOB)
        yield f"failure {rule}", (passdb(**WRONG, result_failure=rule) + passdb(**RIGHT) + ALL, PLAIN)
        yield f"unknown {rule}", (passdb(**FILE, result_failure=rule) + passdb(**RIGHT) + ALL, PLAIN)
        first = passdb(**RIGHT, result_success="continue")
        yield f"broken last {rule}", (first + passdb(**BROKEN, result_internalfail=rule) + ALL, PLAIN)
        one = userdb(args="uid=5 gid=5 a=1 allow_all_users=yes", result_success=rule)
        other = userdb(args="uid=6 gid=6 b=1 allow_all_users=yes")
        yield f"userdb success {rule}", (passdb(**RIGHT) + one + other, PLAIN)
        yield f"userdb failure {rule}", (passdb(**RIGHT) + userdb(**FILE, result_failure=rule) + ALL, PLAIN)
        if "continue" in rule:
            continue
        broken = userdb(**BROKEN, result_internalfail=rule)
        yield f"userdb broken {rule}", (passdb(**RIGHT) + broken + ALL, PLAIN)


def _skips() -> Iterator[tuple[str, Case]]:
    for skip in ("never", "authenticated", "unauthenticated"):
        yield f"skip first {skip}", (passdb(**RIGHT, skip=skip) + passdb(**WRONG) + ALL, PLAIN)
        first = passdb(**RIGHT, result_success="continue")
        yield f"skip {skip}", (first + passdb(args="password=y s=2", skip=skip) + ALL, PLAIN)
    for skip in ("never", "found", "notfound"):
        one = {"args": "uid=5 gid=5 a=1 allow_all_users=yes"}
        other = {"args": "uid=6 gid=6 b=1 allow_all_users=yes"}
        two = userdb(**one, result_success="continue-ok") + userdb(**other, skip=skip)
        yield f"userdb skip {skip}", (passdb(**RIGHT) + two, PLAIN)
        yield f"userdb skip first {skip}", (passdb(**RIGHT) + userdb(**one, skip=skip) + ALL, PLAIN)


def _keys() -> Iterator[tuple[str, Case]]:
    yield "deny", (passdb(**FILE, deny="yes") + passdb(**RIGHT) + ALL, PLAIN + BOB)
    yield "deny broken", (passdb(**BROKEN, deny="yes") + passdb(**RIGHT) + ALL, PLAIN)
    some = passdb(args="nopassword=y", deny="yes", username_filter="al*")
    yield "deny some", (some + passdb(**RIGHT) + ALL, PLAIN + SCRAM + [Login("bob", "x")])
    login = passdb(**RIGHT, mechanisms="login scram-sha-1")
    others = passdb(args="password=x second=1", mechanisms="plain,none")
    yield "mechanisms", (login + others + ALL, PLAIN + SCRAM)
    yield "mechanisms none", (passdb(**RIGHT, mechanisms="none") + ALL, PLAIN + SCRAM)
    one = passdb(args="password=x f=1", username_filter="a* !*@d.org")
    two = passdb(args="password=x f=2", username_filter="b?b c*e")
    three = [Login(name, "x") for name in ("bob", "bobb", "code")]
    yield "username_filter", (one + two + ALL, [*PLAIN, *three, Ask("PASS", "zed"), Ask("PASS", "bob")])
    fields = passdb(
        args="password=x a=1",
        default_fields="a=0 b=%u c=%n userdb_z=1 userdb_home=/dh",
        override_fields="b=9 d=%s userdb_y=%d",
    )
    yield "fields", (fields + userdb(driver="prefetch"), PLAIN)
    lost = passdb(args="password=y a=1", default_fields="a=0 b=%u", override_fields="c=9")
    yield "fields of a failure", (lost + passdb(**RIGHT) + ALL, PLAIN)
    open_to_all = passdb(**FILE, override_fields="password=new nopassword=y")
    yield "overridden password", (open_to_all + ALL, [*BOB, Login("bob", "new")])
    yield "default user", (passdb(**FILE, default_fields="user=bob") + ALL, PLAIN + BOB)
    yield "overridden user", (passdb(**FILE, override_fields="user=bob") + ALL, PLAIN + BOB)
    many = userdb(
        args="uid=5 gid=5 a=1 allow_all_users=yes",
        default_fields="a=0 b=%u home=/dd/%n",
        override_fields="gid=9 home=/o/%d mail=x",
    )
    yield "userdb fields", (passdb(**RIGHT) + many, PLAIN)
    yield "names", (passdb(args="password=x", name="First db") + passdb(**WRONG) + ALL, PLAIN)
    louder = passdb(**FILE, auth_verbose="yes") + passdb(**WRONG, auth_verbose="no")
    yield "auth_verbose of one", ("auth_verbose = no\n" + louder + ALL, PASSWORDS)
    quieter = passdb(**FILE, auth_verbose="no") + passdb(**WRONG, auth_verbose="yes")
    yield "auth_verbose of the other", (quieter + ALL, PASSWORDS)


def _drivers() -> Iterator[tuple[str, Case]]:
    empty: list[Question] = [Login("alice", "", mech="SCRAM-SHA-1"), Login("b", "")]
    yield "static open", (passdb(args="nopassword=y foo=1 password=z") + ALL, PLAIN + SCRAM + empty)
    yield "static word", (passdb(args="nopassword foo=1") + ALL, PLAIN + empty)
    yield "static without", (passdb(args="foo=1") + ALL, PLAIN + SCRAM)
    nets: list[Question] = [Login("a", "x", more="rip=11.1.1.1"), Login("a", "x", more="")]
    yield "static nets", (passdb(args="password=x allow_nets=10.0.0.0/8,local") + ALL, PLAIN + SCRAM + nets)
    yield "static user", (passdb(args="password=x user=%n@x.org") + ALL, PLAIN + SCRAM)
    noauth = passdb(args="nopassword=y noauthenticate=y foo=1 userdb_a=1")
    yield "noauthenticate", (noauth + passdb(**RIGHT) + userdb(driver="prefetch") + ALL, PLAIN + SCRAM)
    yield "noauthenticate last", (noauth + ALL, PLAIN + SCRAM)
    alone = passdb(args="noauthenticate=y foo=1 user=joe") + passdb(args="password=x z=%u")
    yield "noauthenticate user", (alone + ALL, PLAIN)
    yield "static hash", (passdb(args="password={SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=") + ALL, PLAIN + SCRAM)
    own: list[Question] = [Login("alice", "alice"), Login("a@b", "a"), Login("a@b", "b")]
    yield "static variable", (passdb(args="password=%n") + ALL, own)
    yield "userdb static", (passdb(**FILE) + userdb(args="uid=5 gid=5"), PLAIN + BOB)
    yield "no userdb", (passdb(**FILE), PLAIN[:2] + PLAIN[3:] + BOB)
    yield "prefetch alone", (passdb(**FILE) + userdb(driver="prefetch"), PLAIN + BOB)
    yield "passwd-file", (passdb(**FILE) + userdb(**FILE), PLAIN + SCRAM + BOB)
    domains = userdb(driver="passwd-file", args="{dir}/%d/users")
    yield "lists", (passdb(**FILE) + userdb(args="uid=5 gid=5") + userdb(**FILE), [Ask("LIST")])
    yield "list of domains", (passdb(**FILE) + domains, [Ask("LIST")])
    yield "list of domains too", (passdb(**FILE) + domains + userdb(**FILE), [Ask("LIST")])
    opened = passdb(driver="passwd-file", args="{dir}/open") + ALL
    letters = [question for name in "abcd" for question in (Login(name, "y"), Ask("PASS", name))]
    hidden: list[Question] = [Login(name, "", mech="SCRAM-SHA-1") for name in "abc"]
    yield "passwd-file open", (opened, letters + hidden)
    for args in ("", "scheme=PLAIN ", "scheme=plain username_format=%n "):
        odd = passdb(driver="passwd-file", args=args + "{dir}/odd")
        where = (args.replace("scheme=PLAIN ", "").replace("scheme=plain ", "")) + "{dir}/odd"
        asked = [
            *(Login(one, "x") for one in ODD),
            *(Ask(what, one) for one in ODD for what in ("USER", "PASS")),
        ]
        yield f"lines {args}", (odd + userdb(driver="passwd-file", args=where), [*asked, Ask("LIST")])
    hashed = [Login(one, "x", mech="SCRAM-SHA-1") for one in "akl"]
    yield "lines for a passdb", (passdb(driver="passwd-file", args="{dir}/odd") + ALL, asked + hashed)
    for path in ("{dir}/changing", "{dir}/%d/changing"):
        where = {"driver": "passwd-file", "args": path}
        users = ("bob@d", "new@d")
        before = [*(Login(one, "x") for one in users), *(Ask("USER", one) for one in users)]
        file = path.removeprefix("{dir}/").replace("%d", "d")
        change = Write(file, "bob@d:{PLAIN}z:8:8::/two::p=9\nnew@d:{PLAIN}x:5:5::/n::\n")
        # The cache is for other databases: a file that has changed counts at once.
        cached = "auth_cache_size = 1M\n" + passdb(**where) + userdb(**where)
        yield f"changed {path}", (cached, [*before, change, *before, Login("bob@d", "z")])
    for name, keys in {
        "pass": {"pass": "yes"},
        "plain": {},
        "continue": {"result_success": "continue"},
        "continue-ok": {"result_success": "continue-ok"},
        "return-fail": {"result_success": "return-fail"},
    }.items():
        boss = passdb(args="password=m mm=1", master="yes", **keys)
        yield f"master {name}", ("auth_master_user_separator = *\n" + boss + passdb(**FILE) + ALL, MASTERS)


def _settings() -> Iterator[tuple[str, Case]]:
    for text in (
        *("auth_username_format = %n", "auth_username_format = %Ln", "auth_username_format = %u"),
        *("auth_username_format =", "auth_username_format = %{if;%d;eq;d.org;%n;%u}"),
        *("auth_username_format = %Lu-%s-%r", "auth_username_chars ="),
        *("auth_username_chars = abcdefghijklmnopqrstuvwxyz", "auth_username_translation = /@#@"),
        *("auth_username_translation = AbBaX", "auth_default_realm = real.org"),
        "auth_realms = r1 r2\nauth_default_realm = r1",
        "auth_username_format = %Lu@x\nauth_username_chars = abcxyz@.\nauth_username_translation = -.",
    ):
        yield text, (text + "\n" + passdb(**RIGHT) + NAMED, NAMES)
    for how in ("no", "plain", "sha1", "plain:3", "sha1:6", "yes"):
        for verbose in ("yes", "no"):
            text = f"auth_verbose = {verbose}\nauth_verbose_passwords = {how}\n"
            yield f"{verbose} {how}", (text + passdb(**FILE) + passdb(**WRONG) + ALL, PASSWORDS)


CASES = dict([*_rules(), *_skips(), *_keys(), *_drivers(), *_settings()])


def lines(log: list[str], duel: Duel) -> list[str]:
    """Lines that both have to write. Dovecot tells of broken files and lines when it reads them."""
    files = (f"{duel.place.root}/users/x", f"{duel.place.root}/odd:")
    return [line for line in log if not any(one in line for one in (*files, "ID value 'nosuch'"))]


@pytest.mark.parametrize("name", CASES)
def test_rules(duel: Duel, name: str) -> None:
    conf, questions = CASES[name]
    theirs, mine = duel.ask(conf, questions, FILES)
    pairs = zip(questions, theirs.answers, mine.answers, strict=True)
    differences = [(question, said, ours) for question, said, ours in pairs if said != ours]
    assert not differences, conf
    assert lines(mine.log, duel) == lines(theirs.log, duel)
