"""Settings of the administrator's commands."""

from pydovecot.settings.declare import Settings, path


class AdminSettings(Settings):
    """What commands read that no other owner has for them."""

    base_dir = path("/run/dovecot", doc="Where the sockets are.")
    libexec_dir = path("/usr/lib/dovecot", doc="Where programs of foreign services are looked for.")
