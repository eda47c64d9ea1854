"""One connection of the doveadm service: which protocol, who is trusted, TLS."""

from pydovecot.admin.settings import ServerSettings
from pydovecot.login.settings import SslSettings
from pydovecot.login.tls_contexts import TlsContexts
from pydovecot.runtime.context import Accepted, Context
from pydovecot.services.doveadm_server import commands, terminal
from pydovecot.services.doveadm_server.http import serve_http
from pydovecot.services.doveadm_server.protocol import Conversation
from pydovecot.services.doveadm_server.stream import Closed, Stream, is_private
from pydovecot.settings import client
from pydovecot.settings.view import SettingsView

SERVICE = "doveadm"


def before_fork(context: Context) -> None:
    """Commands see the settings that doveadm has on the command line: protocol doveadm."""
    found = client.fetch(context.run_path("config"), service=SERVICE, protocol=SERVICE)
    context.shared = found.view
    terminal.load_commands()


def on_connection(context: Context, accepted: Accepted) -> None:
    """Serve one client until it is gone."""
    if not accepted.remote_ip and terminal.is_request(context, accepted.sock):
        terminal.serve(context, accepted)
        return
    view: SettingsView = context.shared
    where = accepted.remote_ip
    context.set_log_prefix(f"doveadm({where}): " if where else "doveadm: ")
    stream = Stream(context, accepted.sock)
    allowed = view.get(ServerSettings).doveadm_allowed_commands
    names = frozenset(name.strip() for name in allowed.split(",") if name.strip())
    host = commands.Host(view, context.event, context.config_file, names)
    tls = TlsContexts(context.event).get(view.get(SslSettings))

    def start_tls() -> None:
        assert tls is not None
        stream.start_tls(tls)

    def show(command: str) -> None:
        context.set_title(" ".join(word for word in (where, command) if word))

    show("")
    try:
        if accepted.ssl:
            if tls is None:
                raise Closed("SSL is not configured")
            start_tls()
        if is_http(accepted.listener):
            serve_http(stream, host, where, show)
        else:
            trusted = not where and is_private(str(accepted.sock.getsockname()))
            Conversation(
                stream, host, trusted=trusted, start_tls=start_tls if tls is not None else None, show=show
            ).run()
    except Closed as exc:
        if str(exc):
            context.event.error(str(exc))
    finally:
        stream.end()


def is_http(listener: str) -> bool:
    """`inet_listener http` and names that end in it."""
    return listener == "http" or listener.endswith(("-http", "_http"))
