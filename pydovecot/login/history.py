"""What a client has tried before its login, and what the log makes of it; fail2ban and its kind read that."""

from dataclasses import dataclass


@dataclass(slots=True)
class Now:
    """The state of a client at its end, as far as the reason depends on it."""

    time: float
    greeted: bool
    waiting_answer: bool  # the client was asked for its part of an authentication
    finishing: bool  # the password was right, a mail worker was asked
    in_auth: bool
    tls: bool
    certificate: str  # none, valid, invalid
    certificate_required: bool


class History:
    """One client's attempts."""

    __slots__ = (
        "attempts", "bad_base64", "comm_failed", "created", "first", "not_authorized", "pass_expired",
        "plaintext", "retry_aborted", "successes", "temp_failed", "unsupported", "user_disabled",
    )  # fmt: skip

    def __init__(self, created: float) -> None:
        self.created = created
        self.first = 0.0  # when the first authentication began
        self.attempts = self.successes = 0
        self.unsupported = self.retry_aborted = self.bad_base64 = False
        self.comm_failed = self.temp_failed = False
        self.user_disabled = self.pass_expired = self.not_authorized = False
        self.plaintext = False  # the last attempt was one that TLS must protect

    def begin(self, now: float) -> None:
        """One more authentication."""
        self.attempts += 1
        self.first = self.first or now

    def reason(self, now: Now) -> str:
        """The reason in parentheses at the end of a disconnect's log line."""
        waited = int(now.time) - int(self.first or now.time)
        since = int(now.time) - int(self.created)
        certificate = now.certificate_required
        once = self.attempts == 1
        reasons: tuple[tuple[bool, str], ...] = (
            (certificate and now.tls and now.certificate == "invalid", "client sent an invalid cert"),
            (certificate and now.tls and now.certificate == "none", "client didn't send a cert"),
            (not now.greeted, f"disconnected before auth was ready, waited {since} secs"),
            (not self.attempts, f"no auth attempts in {since} secs"),
            (certificate and not now.tls, "cert required, client didn't start TLS"),
            (self.unsupported, "tried to use unsupported auth mechanism"),
            (now.waiting_answer and once, f"client didn't finish SASL auth, waited {waited} secs"),
            (now.finishing and once, f"disconnected while finishing login, waited {waited} secs"),
            (now.in_auth and once, f"disconnected while authenticating, waited {waited} secs"),
            (self.retry_aborted and once, "aborted authentication"),
            (self.bad_base64 and once, "sent invalid base64 in response"),
            (self.comm_failed, "auth process communication failure"),
            (self.temp_failed, "auth service reported temporary failure"),
            (self.successes > 0, f"internal failure, {self.successes} successful auths"),
            (self.user_disabled, "user disabled"),
            (self.pass_expired, "password expired"),
            (self.plaintext, "tried to use disallowed plaintext auth"),
        )
        for true, text in reasons:
            if true:
                return f"({text})"
        what = "authorization" if self.not_authorized else "auth"
        return f"({what} failed, {self.attempts} attempts in {waited} secs)"
