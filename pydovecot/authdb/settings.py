"""Settings of authentication: what auth and auth-worker read (features E.3, G.4)."""

from pydovecot.settings.declare import Settings, boolean, enum, size, string, time, uint

_RESULTS = "return-ok:return:return-fail:continue:continue-ok:continue-fail"
_VERBOSE_DOC = "Log failed lookups of this database; default: as auth_verbose."
_FIELDS_DOC = "Fields (name=value ...) that "


class AuthSettings(Settings):
    """Global settings that begin with auth_, and the few others that auth looks at."""

    auth_mechanisms = string("plain", doc="SASL mechanisms that clients may use, blank separated.")
    auth_realms = string("", doc="Realms that DIGEST-MD5 offers, blank separated.")
    auth_default_realm = string("", doc="Realm (domain) for user names without one.")
    auth_cache_size = size("0", doc="Memory for cached passdb and userdb answers; 0 turns the cache off.")
    auth_cache_ttl = time("1 hours", doc="How long an answer may be used again.")
    auth_cache_negative_ttl = time("1 hours", doc="How long a wrong password or unknown user is remembered.")
    auth_cache_verify_password_with_worker = boolean(
        "no", doc="Check passwords against cached hashes in auth-worker processes.", since="2.3"
    )
    auth_username_chars = string(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@",
        doc="Characters that user names may have; empty allows all.",
    )
    auth_username_translation = string("", doc="Pairs of characters: the first is replaced by the second.")
    auth_username_format = string("%Lu", doc="How a user name is changed before lookups.")
    auth_master_user_separator = string("", doc="Character in user*master logins.")
    auth_anonymous_username = string("anonymous", doc="User that ANONYMOUS logins become.")
    auth_failure_delay = time("2 secs", doc="Wait before a failed login is answered.")
    auth_verbose = boolean("no", doc="Log failed authentications and their reasons.")
    auth_verbose_passwords = string(
        "no", doc="Log the wrong password too: no, plain or sha1; plain:6 cuts it to 6 characters."
    )
    auth_debug = boolean("no", doc="Log all steps of authentication.")
    auth_debug_passwords = boolean("no", doc="Log passwords in clear text, given and stored.")
    auth_ssl_require_client_cert = boolean("no", doc="Fail without a valid client certificate.")
    auth_ssl_username_from_cert = boolean("no", doc="Take the user name from the client certificate.")
    pop3_rpop = boolean(
        "no",
        doc="The command RPOP (RFC 1081): an id in place of a password. The passdb field rpop_id has it; "
        "without that field it is the password. A global setting.",
    )
    auth_worker_max_count = uint(30, doc="Most auth-worker processes for blocking lookups.")
    # Only userdb listings look at these here; the mail processes refuse users outside of the range.
    first_valid_uid = uint(500, doc="Users below this UID may not log in.")
    last_valid_uid = uint(0, doc="Users above this UID may not log in; 0: no limit.")


class PassdbSettings(Settings):
    """passdb { }: where passwords are."""

    section = "passdb"

    name = string("", doc="For log lines; default: the driver.")
    driver = string("", doc="passwd-file, pam, passwd, static, ...")
    args = string("", doc="Arguments of the driver.")
    default_fields = string("", doc=_FIELDS_DOC + "hold unless the database gives others.")
    override_fields = string("", doc=_FIELDS_DOC + "replace those of the database.")
    mechanisms = string("", doc="Only for these SASL mechanisms; none: credentials lookups.")
    username_filter = string("", doc="Only for user names like these patterns; !pattern excludes.")
    skip = enum("never", "never:authenticated:unauthenticated", doc="When not to ask this database.")
    result_success = enum("return-ok", _RESULTS, doc="What follows from a right password.")
    result_failure = enum("continue", _RESULTS, doc="What follows from an unknown user or wrong password.")
    result_internalfail = enum("continue", _RESULTS, doc="What follows from a failing database.")
    deny = boolean("no", doc="Whoever is found here may not log in.")
    # The word in dovecot.conf is a keyword of Python: `passes` reads it.
    locals()["pass"] = boolean("no", doc="Master users: the user must exist in the other passdbs as well.")
    master = boolean("no", doc="Users here may log in as others.")
    auth_verbose = enum("default", "default:yes:no", doc=_VERBOSE_DOC)

    @property
    def passes(self) -> bool:
        """The setting `pass`."""
        return bool(self.value("pass"))


class UserdbSettings(Settings):
    """userdb { }: where the users' uid, gid, home and mail settings are."""

    section = "userdb"

    name = string("", doc="For log lines; default: the driver.")
    driver = string("", doc="passwd, passwd-file, static, prefetch, ...")
    args = string("", doc="Arguments of the driver.")
    default_fields = string("", doc=_FIELDS_DOC + "hold unless the database gives others.")
    override_fields = string("", doc=_FIELDS_DOC + "replace those of the database.")
    skip = enum("never", "never:found:notfound", doc="When not to ask this database.")
    result_success = enum("return-ok", _RESULTS, doc="What follows when the user is found.")
    result_failure = enum("continue", _RESULTS, doc="What follows when the user is not found.")
    result_internalfail = enum("continue", _RESULTS, doc="What follows from a failing database.")
    auth_verbose = enum("default", "default:yes:no", doc=_VERBOSE_DOC)
