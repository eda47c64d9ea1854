"""ONE_CLIENT services: accept, serve to the end, accept again; a blocking read delays only its own user."""

from pydovecot.runtime import haproxy
from pydovecot.runtime.context import Accepted
from pydovecot.runtime.process import Process


class OneClient(Process):
    """The loop of a mail worker."""

    def run(self) -> int:
        """Serve until service_count, idle kill, TERM or the end of the master. Returns the exit status."""
        self.start()
        while not self.closing and not self.last:
            accepted = self._next()
            if accepted is None:
                continue
            self._serve(accepted)
            count = self.params.service_count
            if count and self.handled >= count:
                break
            if not self.closing and not self.last:
                self.available = 1
                self.status.flush(1)
        self.stop_listening()
        return 0

    def _next(self) -> Accepted | None:
        ready = self.wait_readable(list(self.sockets))
        for fd in ready:
            accepted = self.accept(*self.sockets[fd])
            if accepted is not None:
                return accepted
        return None

    def _serve(self, accepted: Accepted) -> None:
        self.available = 0
        self.handled += 1
        self.status.flush(0)
        if self.handled == self.params.service_count:
            self.stop_listening()
        accepted.sock.setblocking(True)
        try:
            if accepted.haproxy and not haproxy.introduced(self, accepted):
                return
            self.spec.on_connection(self, accepted)
        except Exception as exc:  # noqa: BLE001 - the edge of one client: log it and take the next
            self.crashed("client failed", exc)
            self.last = True  # what it left behind is unknown; a fresh fork costs milliseconds
        finally:
            accepted.sock.close()
        if not self.last:
            self.set_log_prefix("")
            self.set_title("")
