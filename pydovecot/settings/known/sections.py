"""Known sections: what may be written inside passdb {}, namespace {}, service {} and the others.

Rows are name, kind, default and the words of an enum, in the order of `doveconf -S`.
"""

from typing import Final

Rows = tuple[tuple[str, ...], ...]

_RESULTS: Final = "return-ok:return:return-fail:continue:continue-ok:continue-fail"

_DB_END: Final[Rows] = (
    ("skip", "enum", "never", "never:found:notfound"),
    ("result_success", "enum", "return-ok", _RESULTS),
    ("result_failure", "enum", "continue", _RESULTS),
    ("result_internalfail", "enum", "continue", _RESULTS),
)
_DB_VERBOSE: Final = ("auth_verbose", "enum", "default", "default:yes:no")

PASSDB: Final[Rows] = (
    ("name", "string", ""),
    ("driver", "string", ""),
    ("args", "string", ""),
    ("default_fields", "string", ""),
    ("override_fields", "string", ""),
    ("mechanisms", "string", ""),
    ("username_filter", "string", ""),
    ("skip", "enum", "never", "never:authenticated:unauthenticated"),
    *_DB_END[1:],
    ("deny", "bool", "no"),
    ("pass", "bool", "no"),
    ("master", "bool", "no"),
    _DB_VERBOSE,
)
USERDB: Final[Rows] = (
    ("name", "string", ""),
    ("driver", "string", ""),
    ("args", "string", ""),
    ("default_fields", "string", ""),
    ("override_fields", "string", ""),
    *_DB_END,
    _DB_VERBOSE,
)
MAILBOX: Final[Rows] = (
    ("name", "string", ""),
    ("auto", "enum", "no", "no:create:subscribe"),
    ("special_use", "string", ""),
    ("driver", "string", ""),
    ("comment", "string", ""),
    ("autoexpunge", "time", "0"),
    ("autoexpunge_max_mails", "uint", "0"),
)
NAMESPACE: Final[Rows] = (
    ("name", "string", ""),
    ("type", "enum", "private", "private:shared:public"),
    ("separator", "string", ""),
    ("prefix", "strvar", ""),
    ("location", "strvar", ""),
)
NAMESPACE_UNSET: Final[Rows] = (("alias_for", "strvar", ""),)
NAMESPACE_END: Final[Rows] = (
    ("inbox", "bool", "no"),
    ("hidden", "bool", "no"),
    ("list", "enum", "yes", "yes:no:children"),
    ("subscriptions", "bool", "yes"),
    ("ignore_on_failure", "bool", "no"),
    ("disabled", "bool", "no"),
    ("order", "uint", "0"),
)
NAMESPACE_ALIASES: Final = {"mail": "location", "mail_location": "location"}

SERVICE: Final[Rows] = (
    ("name", "string", ""),
    ("protocol", "string", ""),
    ("type", "string", ""),
    ("executable", "string", ""),
    ("user", "string", ""),
    ("group", "string", ""),
    ("privileged_group", "string", ""),
    ("extra_groups", "string", ""),
    ("chroot", "string", ""),
    ("drop_priv_before_exec", "bool", "no"),
    ("process_min_avail", "uint", "0"),
    ("process_limit", "uint", "0"),
    ("client_limit", "uint", "0"),
    ("service_count", "uint", "0"),
    ("idle_kill", "time", "0"),
    ("vsz_limit", "size", "18446744073709551615"),
)
FILE_LISTENER: Final[Rows] = (
    ("path", "string", ""),
    ("mode", "octal", "0600"),
    ("user", "string", ""),
    ("group", "string", ""),
)
INET_LISTENER: Final[Rows] = (
    ("name", "string", ""),
    ("address", "string", ""),
    ("port", "port", "0"),
    ("ssl", "bool", "no"),
    ("reuse_port", "bool", "no"),
    ("haproxy", "bool", "no"),
)
METRIC: Final[Rows] = (
    ("metric_name", "string", ""),
    ("fields", "string", ""),
    ("group_by", "string", ""),
    ("filter", "string", ""),
    ("exporter", "string", ""),
    ("exporter_include", "string", "name hostname timestamps categories fields"),
    ("description", "string", ""),
)
EVENT_EXPORTER: Final[Rows] = (
    ("name", "string", ""),
    ("transport", "string", ""),
    ("transport_args", "string", ""),
    ("transport_timeout", "time_msecs", "250 ms"),
    ("format", "string", ""),
    ("format_args", "string", ""),
)
