"""What a child is told, in the environment."""

from pydovecot.base.privileges import Privileges
from pydovecot.runtime.child import FIRST_LISTENER_FD, ChildParams, Listener


def test_environment_round_trip() -> None:
    params = ChildParams(
        service="imap-login",
        base_dir="/run/dovecot",
        config_file="/run/dovecot/config",
        protocol="imap",
        type="login",
        generation=17,
        client_limit=5,
        process_limit=6,
        process_min_avail=2,
        service_count=9,
        idle_kill=30,
        verbose_proctitle=True,
        log_debug=True,
        shutdown_clients=False,
        privileges=Privileges(1, 2, (3, 4), "/run/dovecot/login"),
        listeners=(
            Listener(FIRST_LISTENER_FD, "imap", "inet"),
            Listener(FIRST_LISTENER_FD + 1, "imaps\tx", "inet", ssl=True, haproxy=True),
        ),
    )
    env = params.to_environ()
    assert env["SOCKET1_SETTINGS"] == "imaps\x01tx\ttype=inet\tssl\thaproxy"
    assert ChildParams.from_environ(env) == params


def test_defaults_round_trip() -> None:
    params = ChildParams(service="x", base_dir="/b", config_file="/b/config")
    assert ChildParams.from_environ(params.to_environ()) == params
