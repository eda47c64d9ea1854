"""The hooks of a login service's SPEC, made for one protocol."""

from pydovecot.login.process import LoginProcess, LoginProtocol, prepare_tls
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.spec import Family, ServiceSpec


def login_spec(name: str, protocol: LoginProtocol) -> ServiceSpec:
    """The declaration of a login service."""

    def before_jail(context: Context) -> None:
        context.state = LoginProcess(context, protocol)
        context.state.before_jail()

    def after_jail(context: Context) -> None:
        context.state.after_jail()

    def on_connection(context: Context, accepted: Accepted) -> None:
        context.state.connected(accepted)

    def on_full(context: Context) -> None:
        context.state.make_room()

    def on_stop(context: Context) -> None:
        context.state.stop()

    return ServiceSpec(
        name=name,
        family=Family.MANY_CLIENTS,
        before_fork=prepare_tls,
        before_jail=before_jail,
        after_jail=after_jail,
        on_connection=on_connection,
        on_full=on_full,
        on_stop=on_stop,
        only_moves_bytes=True,
    )
