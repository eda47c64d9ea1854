"""Everything that the settings say about users and passwords, ready to be asked."""

import time
from collections.abc import Callable

from pydovecot.authdb.cache import AuthCache
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.entry import PassdbEntry, UserdbEntry, make_passdbs, make_userdbs
from pydovecot.authdb.log import LogRules
from pydovecot.authdb.names import NameRules
from pydovecot.authdb.passdb_chain import PassdbChain
from pydovecot.authdb.passwd_file import PasswdFiles
from pydovecot.authdb.settings import AuthSettings, PassdbSettings, UserdbSettings
from pydovecot.authdb.userdb_chain import UserdbChain
from pydovecot.event.event import Event
from pydovecot.settings.view import SettingsView


class Database:
    """The chains of passdbs and userdbs, the cache, the rules for names. Raises entry.BadDatabase.

    `workers`: blocking steps are yielded; without, they are done in place (auth-worker itself, tools).
    """

    def __init__(
        self,
        view: SettingsView,
        event: Event,
        *,
        workers: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = view.get(AuthSettings)
        self.settings = settings
        self.event = event
        self.rules = log_rules(settings)
        world = DriverWorld(PasswdFiles(event), _valid_uids(settings))
        sections = list(view.sections(PassdbSettings))
        plain = [section for section in sections if not section.master]
        masters = [section for section in sections if section.master]
        self.names = NameRules(settings, masters=bool(masters))
        passdbs = make_passdbs(plain, world, event, self.rules, first_index=0)
        master_dbs = make_passdbs(masters, world, event, self.rules, first_index=len(passdbs))
        userdb_sections = list(view.sections(UserdbSettings)) or [
            # Without any userdb those whom the passdbs know have the fields that these give, as in Dovecot.
            UserdbSettings(driver="static")
        ]
        userdbs = make_userdbs(userdb_sections, world, event, self.rules)
        self.all_passdbs: list[PassdbEntry] = [*passdbs, *master_dbs]
        self.all_userdbs: list[UserdbEntry] = userdbs
        self.cache = AuthCache(
            settings.auth_cache_size, settings.auth_cache_ttl, settings.auth_cache_negative_ttl, now
        )
        self.passdbs = PassdbChain(
            passdbs,
            master_dbs,
            self.cache,
            event,
            workers=workers,
            verbose=self.rules.verbose,
            cached_by_worker=settings.auth_cache_verify_password_with_worker,
        )
        self.userdbs = UserdbChain(userdbs, self.passdbs, self.cache, event, workers=workers)


def log_rules(settings: AuthSettings) -> LogRules:
    """auth_verbose, auth_verbose_passwords, auth_debug, auth_debug_passwords; each implies the former."""
    debug = settings.auth_debug or settings.auth_debug_passwords
    return LogRules(
        settings.auth_verbose or debug,
        settings.auth_verbose_passwords,
        debug,
        settings.auth_debug_passwords,
    )


def _valid_uids(settings: AuthSettings) -> Callable[[int], bool]:
    first, last = settings.first_valid_uid, settings.last_valid_uid
    return lambda uid: uid >= first and (not last or uid <= last) and uid != 0
