"""From ssl_* settings to what the TLS layer is given."""

from pydovecot.login.settings import SslSettings
from pydovecot.login.tls_contexts import tls_config

DEFAULT = SslSettings().ssl_cipher_list


def test_red_hats_profile_is_the_default_list() -> None:
    assert tls_config(SslSettings(ssl_cipher_list="PROFILE=SYSTEM")).ciphers == DEFAULT
    assert tls_config(SslSettings(ssl_cipher_list="PROFILE=SYSTEM:!SHA1")).ciphers == f"{DEFAULT}:!SHA1"
    assert tls_config(SslSettings(ssl_cipher_list="HIGH")).ciphers == "HIGH"
