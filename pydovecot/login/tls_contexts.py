"""TLS contexts of a login process: one for each set of ssl_* settings that its connections use."""

from collections.abc import Callable
from typing import Final

from OpenSSL import SSL

from pydovecot.event.event import Event
from pydovecot.login.settings import SslSettings
from pydovecot.net.tls import TlsConfig, TlsProblem, make_context, requested_name, stream_of
from pydovecot.net.tls_trace import trace

MAX_CONTEXTS: Final = 1000  # local_name blocks of a hosting server

SYSTEM_PROFILE: Final = "PROFILE=SYSTEM"


def tls_config(settings: SslSettings) -> TlsConfig:
    """What the ssl_* settings say, in the TLS layer's terms."""
    options = {word.lower() for word in settings.ssl_options}
    return TlsConfig(
        cert=settings.ssl_cert,
        key=settings.ssl_key,
        key_password=settings.ssl_key_password,
        alt_cert=settings.ssl_alt_cert,
        alt_key=settings.ssl_alt_key,
        ca=settings.ssl_ca,
        dh=settings.ssl_dh,
        min_protocol=settings.ssl_min_protocol,
        ciphers=_without_profile(settings.ssl_cipher_list),
        suites=settings.ssl_cipher_suites,
        curves=settings.ssl_curve_list,
        prefer_server_ciphers=settings.ssl_prefer_server_ciphers,
        tickets="no_ticket" not in options,
        verify_client=settings.ssl_verify_client_cert,
        require_crl=settings.ssl_require_crl,
        verbose=settings.verbose_ssl,
    )


def _without_profile(ciphers: str) -> str:
    """Red Hat's files say PROFILE=SYSTEM, which only their OpenSSL knows; ours takes the default list."""
    default = SslSettings.ssl_cipher_list.default
    return ":".join(default if word == SYSTEM_PROFILE else word for word in ciphers.split(":"))


class TlsContexts:
    """Makes contexts at their first use and keeps them; a broken setting is logged once.

    `settings_for_name(stream, name)` gives the ssl settings of the server name that a client asks for.
    """

    def __init__(
        self, event: Event, settings_for_name: Callable[[object, str], SslSettings | None] | None = None
    ) -> None:
        self._event = event
        self.settings_for_name = settings_for_name  # None until a process has clients to ask for
        self._contexts: dict[TlsConfig, SSL.Context | None] = {}
        self._last_settings: SslSettings | None = None
        self._last_context: SSL.Context | None = None

    def may_have(self, settings: SslSettings) -> bool:
        """TLS can be offered, as far as is known; makes no context, which a plaintext client never needs."""
        if settings.ssl == "no" or not settings.ssl_cert:
            return False
        return settings is not self._last_settings or self._last_context is not None

    def get(self, settings: SslSettings) -> SSL.Context | None:
        """The context for these settings; None when TLS is off or cannot be offered."""
        if settings.ssl == "no" or not settings.ssl_cert:
            return None
        if settings is self._last_settings:
            return self._last_context
        config = tls_config(settings)
        if config not in self._contexts:
            if len(self._contexts) >= MAX_CONTEXTS:
                self._contexts.clear()
            self._contexts[config] = self._make(config)
        # Nearly all connections share one settings object; hashing its keys each time would be a waste.
        self._last_settings, self._last_context = settings, self._contexts[config]
        return self._last_context

    def _make(self, config: TlsConfig) -> SSL.Context | None:
        try:
            context, warnings = make_context(config, self._by_name)
        except TlsProblem as exc:
            self._event.error(f"Failed to initialize SSL server context: {exc}")
            return None
        for warning in warnings:
            self._event.warning(warning)
        if config.verbose:
            trace(context, self._event.child(debug=True).debug)
        return context

    def _by_name(self, conn: SSL.Connection) -> None:
        """The client has told the server's name: local_name blocks may have another certificate."""
        stream, name = stream_of(conn), requested_name(conn)
        if stream is None or not name:
            return
        stream.server_name = name
        settings = self.settings_for_name(stream, name) if self.settings_for_name is not None else None
        context = self.get(settings) if settings is not None else None
        if context is not None and context is not conn.get_context():
            conn.set_context(context)
