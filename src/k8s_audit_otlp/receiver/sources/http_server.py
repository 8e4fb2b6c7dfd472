"""An HTTP server for one application, in a thread of its own: TLS, client certificates, bounds."""

import asyncio
import logging
import ssl
from collections import Counter
from threading import Thread
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from k8s_audit_otlp.config.sources import AuditWebhook, ServerTls
from k8s_audit_otlp.receiver.sources.listener import Listener
from k8s_audit_otlp.transport.tls import VERSIONS, TlsError, load_server, stamp

logger = logging.getLogger("k8s_audit_otlp")

NO_HANDSHAKE = "tls"  # what is counted in place of a status
_STOP_S = 10.0  # for what is being answered
_HANDSHAKE_S = 10.0  # who says a first byte and no more has a place for so long
# After a refusal nothing is read any more; who still sends would see a reset, and not the answer.
_QUIET_S = 0.25  # without a byte, and the connection is closed
_PASS_OVER_S = 5.0


class HttpServer:
    """Serves `application` until `stop`. `names_of` knows the certificates of who is connected."""

    application: Any = None

    def __init__(
        self,
        name: str,
        block: AuditWebhook,
        *,
        handshake_timeout_s: float = _HANDSHAKE_S,
        stop_timeout_s: float = _STOP_S,
    ) -> None:
        """Listen where *block* says once started; without a certificate in the clear."""
        self._name = name
        self._block = block
        self._handshake_s = handshake_timeout_s
        self._stop_s = stop_timeout_s
        self._names: dict[tuple[str, int], frozenset[str]] = {}
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None
        self._listener: Listener | None = None
        self._context: ssl.SSLContext | None = None
        self._stamp: object = None
        self.trouble = ""  # why new certificates are not used
        self.answers: Counter[str] = Counter()  # by status; NO_HANDSHAKE: did not come so far

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def names_of(self, client: tuple[str, int] | None) -> frozenset[str]:
        """Return the names of the certificate that the client at this address has shown."""
        return self._names.get(client, frozenset()) if client else frozenset()

    def trust(self, client: tuple[str, int] | None) -> None:
        """Keep the connection of this client when there are too many."""
        if client and self._listener is not None:
            self._listener.trust(client)

    def start(self) -> str:
        """Listen, and return the address.

        Raise OSError where the address cannot be bound, TlsError where a certificate is unusable.
        """
        context = self._first_context()
        self._listener = listener = Listener.at(self._block.endpoint)
        config = uvicorn.Config(
            self.application,
            http=self._protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=round(self._block.idle_timeout_s),
            timeout_graceful_shutdown=round(self._stop_s),
        )
        config.load()
        config.ssl = context
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._serve, name=self._name, daemon=True)
        self._thread.start()
        return listener.endpoint

    def _serve(self) -> None:
        assert self._server is not None  # noqa: S101 - `start` has made both
        assert self._listener is not None  # noqa: S101
        with asyncio.Runner(loop_factory=lambda: _Loop(self._handshake_s)) as runner:
            runner.run(self._server.serve([self._listener]))

    def stop(self, within_s: float) -> None:
        """Take no more requests; those that are being answered are, as far as there is time."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(within_s)

    def look(self) -> None:
        """Take up certificates whose files have changed; new connections get them."""
        tls = self._block.tls
        if self._context is None or tls is None or (now := stamp(tls.files)) == self._stamp:
            return
        try:
            self._context = self._context_of(tls)
        except TlsError as error:  # half of a pair is new; the next look finds both
            self.trouble = f"the new certificate cannot be used yet: {error}"
            logger.warning("%s: %s", self._name, self.trouble)
            return
        self.trouble = ""
        self._stamp = now

    def _context_of(self, tls: ServerTls) -> ssl.SSLContext:
        """Make a context of the files as they are: one that is there forgets no authority.

        Raise TlsError where they cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = self._told_handshake()
        context.minimum_version = VERSIONS[tls.min_version]
        context.num_tickets = 0  # who was trusted once is looked at again
        load_server(context, tls)
        return context

    def _first_context(self) -> ssl.SSLContext | None:
        """Return what asyncio keeps for good: each handshake goes on with the newest one."""
        tls = self._block.tls
        if tls is None:
            return None
        self._stamp = stamp(tls.files)
        self._context = first = self._context_of(tls)

        def take_newest(handshake: ssl.SSLObject, _name: str, _first: ssl.SSLContext) -> None:
            assert self._context is not None  # noqa: S101 - made above
            handshake.context = self._context

        first.sni_callback = take_newest  # called whether or not a name is asked for
        return first

    def _told_handshake(self) -> type[ssl.SSLObject]:
        """Return a handshake that says why it fails: nobody else hears of an expired certificate.

        Also what the client says of ours comes as such an error, an alert.
        """
        warn, answers = self.warn, self.answers

        class Handshake(ssl.SSLObject):
            def do_handshake(self) -> None:
                try:
                    super().do_handshake()
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    raise
                except ssl.SSLError as error:
                    why = getattr(error, "verify_message", "") or error.reason or "it ended"
                    said = why.replace("_", " ").lower()
                    answers[NO_HANDSHAKE] += 1
                    warn("tls", f"a client does not get through the handshake of TLS: {said}")
                    raise

        return Handshake

    def warn(self, kind: str, text: str) -> None:
        """Say *text*, for each *kind* once a minute."""
        logger.warning("%s: %s", self._name, text, extra={"once": f"{self._name} {kind}"})

    def _protocol(self) -> type[asyncio.Protocol]:
        class Connection(_WebhookConnection):
            names = self._names
            patience_s = self._block.read_timeout_s

        return Connection


class _Loop(asyncio.SelectorEventLoop):
    """Accepts from the listener's own sockets, and bounds a handshake as uvicorn cannot."""

    def __init__(self, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_s
        return await super().create_server(*args, **options)


class _Unclosed(asyncio.Transport):
    """A transport that is written to and stays open."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def close(self) -> None:
        """Leave it open: it is closed when nothing comes any more."""


class _WebhookConnection(H11Protocol):
    """Closes who sends no whole header in time, and knows who has connected."""

    names: ClassVar[dict[tuple[str, int], frozenset[str]]]
    patience_s: ClassVar[float]
    _patience: asyncio.TimerHandle | None = None
    _refused_at: float | None = None  # what comes behind is passed over

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if certificate and self.client:
            self.names[self.client] = _names_in(certificate)
        self._await_header()

    def data_received(self, data: bytes) -> None:
        if self._refused_at is None:
            super().data_received(data)
            if self._refused_at is None:
                self._await_header()
        elif self.loop.time() - self._refused_at < _PASS_OVER_S:
            self._close_when_quiet()
        else:
            self._give_up()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close once its sender has stopped."""
        transport, self.transport = self.transport, _Unclosed(self.transport)
        try:
            super().send_400_response(msg)
        finally:
            self.transport = transport
        self._refused_at = self.loop.time()
        self._close_when_quiet()

    def _close_when_quiet(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(_QUIET_S, self._give_up)

    def _await_header(self) -> None:
        """Bound the time for a header, of the first request and of every later one."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._patience is None:
            self._patience = self.loop.call_later(self.patience_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self.client:
            self.names.pop(self.client, None)
        super().connection_lost(exc)


def _names_in(certificate: dict[str, Any]) -> frozenset[str]:
    """Return the common name and the alternative names of a certificate."""
    common = {
        value
        for part in certificate.get("subject", ())
        for name, value in part
        if name == "commonName"
    }
    return frozenset(common | {value for _, value in certificate.get("subjectAltName", ())})
