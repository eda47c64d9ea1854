"""DIGEST-MD5, SCRAM and EXTERNAL: whole conversations in memory, with our process tree and with Dovecot."""

import base64
import itertools
from collections.abc import Iterator

import pytest

from tests.support import authlab
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.saslclient import DigestClient, ScramClient
from tests.support.serverconf import ServerDir

NUMBERS = itertools.count(1)
WORDS = itertools.count(1)
HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}


class Talk:
    """One auth-client connection with its handshake done."""

    def __init__(self, harness: authlab.Harness) -> None:
        self.harness = harness
        self.connection = harness.connect("auth-client")
        while (line := self.read()) and line != "DONE":
            pass
        self.connection.send(b"VERSION\t1\t2\nCPID\t%d\n" % (50000 + next(NUMBERS)))

    def read(self) -> str:
        line = self.harness.line(self.connection, authlab.LINE_SECS)
        assert line, "closed or silent"
        return line.rstrip(b"\n").decode()

    def begin(self, mech: str, initial: bytes | None, parameters: str = "") -> list[str]:
        self.id = next(WORDS)
        self.rip = f"10.8.{self.id // 250}.{self.id % 250 + 1}"  # nobody pays another's penalty
        line = f"AUTH\t{self.id}\t{mech}\tservice=imap\trip={self.rip}{parameters}"
        if initial is not None:
            line += "\tresp=" + (base64.b64encode(initial).decode() or "=")
        self.connection.send(line.encode() + b"\n")
        return self.read().split("\t")

    def proceed(self, data: bytes) -> list[str]:
        self.connection.send(b"CONT\t%d\t%b\n" % (self.id, base64.b64encode(data)))
        return self.read().split("\t")


def challenge_of(answer: list[str]) -> bytes:
    assert answer[0] == "CONT", answer
    return base64.b64decode(answer[2])


@pytest.fixture(
    scope="module",
    params=[
        "memory",
        pytest.param("ours", marks=pytest.mark.process),
        pytest.param(
            "dovecot",
            marks=[
                pytest.mark.compat,
                pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
            ],
        ),
    ],
)
def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[authlab.Harness]:
    program: str = request.param
    if program == "memory":
        yield authlab.MemoryAuth(authlab.conf_of("proofs", tmp_path_factory.mktemp("auth")))
        return
    place = ServerDir.make()
    text = authlab.conf_of("proofs", place.root)
    made: Cluster | DovecotInstance
    kind = DovecotInstance if program == "dovecot" else Cluster
    made = kind(text, static_users=False, place=place)
    try:
        made.start()
        yield authlab.SocketAuth(program, place.run, place.log_text)
    finally:
        made.close()


@pytest.fixture
def talk(harness: authlab.Harness) -> Iterator[Talk]:
    made = Talk(harness)
    yield made
    made.connection.close()


def logged(harness: authlab.Harness, text: str) -> None:
    for _ in range(30):
        if text in harness.log_text():
            return
        harness.wait(0.1)
    raise AssertionError(f"not in the log: {text}\n{harness.log_text()[-2000:]}")


@pytest.mark.parametrize(
    ("mech", "user"),
    [(mech, user) for mech in HASHES for user in ("alice", "pencil", "sha1", "sha256", "Alice")],
)
def test_scram_proves_both_sides(harness: authlab.Harness, talk: Talk, mech: str, user: str) -> None:
    fits = user in ("alice", "pencil", "Alice") or HASHES[mech] == user
    password = b"p=,cil" if user == "pencil" else b"wonder"
    client = ScramClient(HASHES[mech], user.encode(), password)
    answer = talk.begin(mech, client.first())
    if not fits:
        assert answer == ["FAIL", str(talk.id), f"user={user}"]
        logged(harness, f"passwd-file({user},{talk.rip}): Requested {mech} scheme, but we have only")
        return
    answer = talk.proceed(client.final(challenge_of(answer)))
    assert client.check(challenge_of(answer))
    assert talk.proceed(b"") == ["OK", str(talk.id), f"user={user.lower()}"] + (
        ["original_user=Alice"] if user == "Alice" else []
    )


def test_scram_final_data_may_come_with_ok(harness: authlab.Harness, talk: Talk) -> None:
    client = ScramClient("sha256", b"alice", b"wonder")
    answer = talk.begin("SCRAM-SHA-256", client.first(), "\tfinal-resp-ok")
    ok = talk.proceed(client.final(challenge_of(answer)))
    assert ok[:3] == ["OK", str(talk.id), "user=alice"]
    assert client.check(base64.b64decode(ok[3].removeprefix("resp=")))


def test_scram_wrong_password(harness: authlab.Harness, talk: Talk) -> None:
    client = ScramClient("sha256", b"alice", b"wander")
    answer = talk.proceed(client.final(challenge_of(talk.begin("SCRAM-SHA-256", client.first()))))
    assert answer == ["FAIL", str(talk.id), "user=alice"]
    logged(harness, f"scram-sha-256(alice,{talk.rip}): Password mismatch")


def test_scram_without_initial_response_is_asked_for_it(harness: authlab.Harness, talk: Talk) -> None:
    client = ScramClient("sha1", b"alice", b"wonder")
    assert challenge_of(talk.begin("SCRAM-SHA-1", None)) == b""
    answer = talk.proceed(client.first())
    assert client.check(challenge_of(talk.proceed(client.final(challenge_of(answer)))))


def test_scram_as_another_user(harness: authlab.Harness, talk: Talk) -> None:
    client = ScramClient("sha256", b"boss", b"chief", gs2=b"y,a=alice,")
    answer = talk.proceed(client.final(challenge_of(talk.begin("SCRAM-SHA-256", client.first()))))
    assert client.check(challenge_of(answer))
    assert "user=alice" in talk.proceed(b"")


def test_scram_ignores_unknown_extensions(harness: authlab.Harness, talk: Talk) -> None:
    client = ScramClient("sha256", b"alice", b"wonder", extension=b",x=y,z=1")
    answer = talk.proceed(client.final(challenge_of(talk.begin("SCRAM-SHA-256", client.first()))))
    assert client.check(challenge_of(answer))


@pytest.mark.parametrize(
    ("first", "log"),
    [
        (b"n,", "Invalid initial client message"),
        (b"n,,n=alice", "Invalid initial client message"),
        (b"p=tls-unique,,n=alice,r=abc", "Channel binding not supported"),
        (b"x,,n=alice,r=abc", "Invalid GS2 header"),
        (b"n,b=x,n=alice,r=abc", "Invalid authzid field"),
        (b"n,a=x=2D,n=alice,r=abc", "authzid escaping is invalid"),
        (b"n,,m=x,n=alice,r=abc", "Mandatory extension(s) not supported"),
        (b"n,,x=alice,r=abc", "Invalid username field"),
        (b"n,,n=al=ice,r=abc", "Username escaping is invalid"),
        (b"n,,n=alice,x=abc", "Invalid client nonce"),
        (b"n,,n=,r=abc", "Empty username"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scram_bad_first_message(harness: authlab.Harness, talk: Talk, first: bytes, log: str) -> None:
    assert talk.begin("SCRAM-SHA-256", first)[0] == "FAIL"
    logged(harness, f",{talk.rip}): {log}")


@pytest.mark.parametrize(
    ("change", "log"),
    [
        (lambda final: final.replace(b"c=biws", b"c=eSws"), "Invalid channel binding data"),
        (lambda final: final.replace(b",r=", b",r=x"), "Wrong nonce"),
        (lambda final: final.rpartition(b",")[0], "Invalid final client message"),
        (lambda final: final.rpartition(b",")[0] + b",x=y", "Invalid ClientProof"),
        (lambda final: final.rpartition(b",")[0] + b",p=AA==", "Invalid ClientProof length"),
        (lambda final: final.rpartition(b",")[0] + b",p=!", "Invalid base64 encoding"),
    ],
    ids=["binding", "nonce", "short", "no proof", "proof length", "base64"],
)
def test_scram_bad_final_message(harness: authlab.Harness, talk: Talk, change: object, log: str) -> None:
    client = ScramClient("sha256", b"alice", b"wonder")
    final = client.final(challenge_of(talk.begin("SCRAM-SHA-256", client.first())))
    assert callable(change)
    assert talk.proceed(change(final))[0] == "FAIL"
    logged(harness, f"scram-sha-256(alice,{talk.rip}): {log}")


def test_scram_broken_stored_password(harness: authlab.Harness, talk: Talk) -> None:
    client = ScramClient("sha256", b"broken", b"wonder")
    assert talk.begin("SCRAM-SHA-256", client.first()) == ["FAIL", str(talk.id), "user=broken"]
    logged(harness, f"scram-sha-256(broken,{talk.rip}): Invalid SCRAM-SHA-256 passdb entry format")


@pytest.mark.parametrize(
    ("client", "user"),
    [
        (DigestClient(b"alice", b"wonder"), "alice"),
        (DigestClient(b"alice", b"realmly", b"example.org"), "alice@example.org"),
        (DigestClient(b"alice@example.org", b"realmly"), "alice@example.org"),
        (DigestClient(b"digest", b"wonder"), "digest"),
        (DigestClient(b"boss", b"chief", authzid=b"alice"), "alice"),
    ],
    ids=["plain", "realm", "name with domain", "stored digest", "authzid"],
)
def test_digest_proves_both_sides(
    harness: authlab.Harness, talk: Talk, client: DigestClient, user: str
) -> None:
    challenge = challenge_of(talk.begin("DIGEST-MD5", None))
    assert challenge.startswith(b'realm="example.org",realm="other.example",nonce="')
    assert challenge.endswith(b'",qop="auth",charset="utf-8",algorithm="md5-sess"')
    assert client.check(challenge_of(talk.proceed(client.response(challenge))))
    assert f"user={user}" in talk.proceed(b"")


def test_digest_wrong_password(harness: authlab.Harness, talk: Talk) -> None:
    client = DigestClient(b"alice", b"wander")
    answer = talk.proceed(client.response(challenge_of(talk.begin("DIGEST-MD5", b"ignored"))))
    assert answer == ["FAIL", str(talk.id), "user=alice"]
    logged(harness, f"digest-md5(alice,{talk.rip}): ")


@pytest.mark.parametrize(
    ("old", "new", "log"),
    [
        (b'nonce="', b'nonce="x', "Invalid nonce"),
        (b'cnonce="OA6MHXh6VqTrRk",', b"", "Missing cnonce parameter"),
        (b'cnonce="OA6MHXh6VqTrRk",', b'cnonce="",', "cnonce can't contain empty value"),
        (b'cnonce="OA6MHXh6VqTrRk",', b"cnonce=a,cnonce=b,", "cnonce must not exist more than once"),
        (b'username="alice",', b"", "Missing username parameter"),
        (b'username="alice",', b"username=,", "empty username"),
        (b'username="alice",', b"username=a,username=b,", "username must not exist more than once"),
        (b"nc=00000001", b"nc=00000002", "re-auth not supported currently"),
        (b"nc=00000001", b"nc=one", "nonce-count value invalid"),
        (b"qop=auth", b"qop=auth-int", "Nonallowed QoP requested"),
        (b"qop=auth", b"qop=what", "Unknown QoP value: what"),
        (b'digest-uri="imap/localhost"', b"digest-uri=imap", "Invalid digest-uri"),
        (b"charset=utf-8", b"charset=latin1", "Only utf-8 charset is allowed"),
        (b"charset=utf-8", b"maxbuf=0", "Invalid maxbuf value"),
        (b"charset=utf-8", b"maxbuf=1,maxbuf=2", "maxbuf must not exist more than once"),
        (b"charset=utf-8", b"authzid=", "empty authzid"),
        (b"charset=utf-8", b"authzid=a,authzid=b", "authzid must not exist more than once"),
        (b"charset=utf-8", b"response=0", "Invalid response value"),
    ],
)
def test_digest_bad_response(harness: authlab.Harness, talk: Talk, old: bytes, new: bytes, log: str) -> None:
    client = DigestClient(b"alice", b"wonder")
    response = client.response(challenge_of(talk.begin("DIGEST-MD5", None)))
    assert response.count(old) == (2 if old == b'nonce="' else 1)
    changed = response.replace(b"," + old, b"," + new) if old == b'nonce="' else response.replace(old, new)
    assert talk.proceed(changed)[0] == "FAIL"
    logged(harness, f",{talk.rip}): {log}")


def test_digest_spaces_case_and_rubbish_are_accepted(harness: authlab.Harness, talk: Talk) -> None:
    client = DigestClient(b"alice", b"wonder")
    response = client.response(challenge_of(talk.begin("DIGEST-MD5", None)))
    loose = response.replace(b",", b" ,\t").replace(b"username=", b"UserName = ") + b",rubbish,cipher=rc4,x=y"
    assert client.check(challenge_of(talk.proceed(loose)))


def test_external_needs_a_certificate(harness: authlab.Harness, talk: Talk) -> None:
    assert talk.begin("EXTERNAL", b"")[0] == "FAIL"
    logged(harness, f"external(?,{talk.rip}): username not known")


@pytest.mark.parametrize("authzid", [b"", b"cert"], ids=["nobody else", "itself"])
def test_external(harness: authlab.Harness, talk: Talk, authzid: bytes) -> None:
    answer = talk.begin("EXTERNAL", authzid, "\tsecured\tvalid-client-cert\tcert_username=cert")
    assert answer[:3] == ["OK", str(talk.id), "user=cert"]


def test_external_without_initial_response(harness: authlab.Harness, talk: Talk) -> None:
    assert challenge_of(talk.begin("EXTERNAL", None, "\tvalid-client-cert\tcert_username=cert")) == b""
    assert talk.proceed(b"")[:3] == ["OK", str(talk.id), "user=cert"]


def test_external_user_with_a_password(harness: authlab.Harness, talk: Talk) -> None:
    assert talk.begin("EXTERNAL", b"", "\tvalid-client-cert\tcert_username=alice")[0] == "FAIL"
    logged(harness, f"passwd-file(alice,{talk.rip}): Password mismatch")


def test_hello_names_the_mechanisms(harness: authlab.Harness) -> None:
    connection = harness.connect("auth-client")
    lines: list[str] = []
    while not lines or lines[-1] != "DONE":
        line = harness.line(connection, authlab.LINE_SECS)
        assert line
        lines.append(line.decode().rstrip("\n"))
    connection.close()
    assert [line for line in lines if line.startswith("MECH")] == [
        "MECH\tPLAIN\tplaintext",
        "MECH\tDIGEST-MD5\tdictionary\tactive\tmutual-auth",
        "MECH\tSCRAM-SHA-1\tmutual-auth",
        "MECH\tSCRAM-SHA-256\tmutual-auth",
        "MECH\tEXTERNAL",
    ]


