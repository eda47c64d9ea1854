"""passdb pam: the system's PAM stack decides (features E-30)."""

from pydovecot.authdb import extra, libpam
from pydovecot.authdb.driver import BadArgs, DriverWorld
from pydovecot.authdb.libpam import PamRequest
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password.secret import Secret

DEFAULT_SERVICE = "dovecot"


class PamPassdb:
    """`args = [session=yes] [setcred=yes] [failure_show_msg=yes] [cache_key=%u] [max_requests=n] [service]`.

    "*" as the service takes the name of the protocol (imap, pop3). max_requests is accepted: our workers
    keep no PAM handle between requests that could leak.
    """

    driver = "pam"
    blocking = True
    can_lookup = False
    default_scheme = "PLAIN"

    def __init__(self, args: str, _world: DriverWorld) -> None:
        self.session = self.setcred = self.show_messages = False
        self.cache_key = ""
        self.service = DEFAULT_SERVICE
        words = args.split()
        for index, word in enumerate(words):
            name, equals, value = word.partition("=")
            if word in ("-session", "session=yes"):
                self.session = True
            elif word in ("setcred=yes", "failure_show_msg=yes"):
                self.setcred |= name == "setcred"
                self.show_messages |= name == "failure_show_msg"
            elif name == "cache_key" and equals:
                self.cache_key = value
            elif name == "max_requests" and equals:
                if not value.isdigit():
                    raise BadArgs(f"pam: Invalid max_requests setting: {value}")
            elif word == "*":
                self.service = "%s"
            elif index == len(words) - 1:
                self.service = word
            else:
                raise BadArgs(f"pam: Unknown setting: {word}")

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        raise NotImplementedError

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        service = request.expand(self.service)
        log.debug(request, f"lookup service={service}")
        asked = PamRequest(
            service, request.user or "", password.reveal(), request.rip, self.session, self.setcred
        )
        try:
            answer = libpam.authenticate(asked)
        except libpam.PamMissing as exc:
            log.error(request, str(exc))
            return Result.INTERNAL
        if self.show_messages and answer.step and answer.messages:
            request.extra.add("reason", answer.messages[-1])
        if not answer.step:
            extra.apply(request, "user", answer.user, self.default_scheme, log)
            return Result.OK
        return _failed(answer, request, log, service)


def _failed(answer: libpam.PamAnswer, request: AuthRequest, log: DbLog, service: str) -> Result:
    text = f"{answer.step}() failed: {answer.text}"
    if answer.step == "pam_start":
        log.error(request, text)
        return Result.INTERNAL
    if answer.step in ("pam_setcred", "pam_open_session", "pam_close_session"):
        log.error(request, text)
        return Result.MISMATCH
    if answer.code == libpam.USER_UNKNOWN:
        log.unknown_user(request)
        return Result.UNKNOWN
    if answer.code in (libpam.NEW_AUTHTOK_REQD, libpam.ACCT_EXPIRED):
        log.info(request, text)
        return Result.EXPIRED
    if answer.step == "pam_authenticate" and answer.code == libpam.AUTH_ERR:
        if not libpam.service_exists(service):
            log.error(request, f"{text} (/etc/pam.d/{service} missing?)")
        else:
            log.info(request, f"{text} (Password mismatch?)" + _given(request, log))
        return Result.MISMATCH
    log.info(request, text)
    return Result.MISMATCH


def _given(request: AuthRequest, log: DbLog) -> str:
    if not log.rules.debug_passwords or request.password is None:
        return ""
    return f" (given password: {request.password.reveal().decode('utf-8', 'backslashreplace')})"
