"""Settings that every service reads, whatever it serves."""

from pydovecot.settings.declare import Settings, strlist, time

__all__ = ["HaproxySettings"]


class HaproxySettings(Settings):
    """Who may say for whom it speaks, on listeners with haproxy = yes."""

    haproxy_trusted_networks = strlist(
        "",
        doc="Networks of proxies that may use listeners with haproxy = yes; others are refused.",
        since="2.2.19",
    )
    haproxy_timeout = time("3 secs", doc="How long a proxy may take to send its header.", since="2.2.19")
