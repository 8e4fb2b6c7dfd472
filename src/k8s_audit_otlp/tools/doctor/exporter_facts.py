"""Asks the back end of an exporter for its address, connection, certificate and clock.

The way to it is the agent's own, and is gone once. Nothing is sent to the path of the logs: some
back ends take an empty request for a broken one.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import mktime_tz, parsedate_tz
from functools import cached_property
from http.client import HTTPException
from typing import NamedTuple

from k8s_audit_otlp.agent.build import resource_scopes_of, sender_of
from k8s_audit_otlp.config.blocks import Auth, Tls
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter, KafkaExporter, OtlpGrpc, OtlpHttp
from k8s_audit_otlp.model import Outcome
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.telemetry.views import ExporterView
from k8s_audit_otlp.transport.connection import ConnectError, Connections, ask
from k8s_audit_otlp.transport.credentials import Credentials, credentials_of
from k8s_audit_otlp.transport.proxy import proxy_for
from k8s_audit_otlp.transport.tls import TlsError, make_context
from k8s_audit_otlp.transport.url import Url

TIMEOUT_S = 5.0  # of one step: whoever waits for the doctor is a person
TEST_EVENT = "k8s.audit.agent.test"


class ConnectionResult(NamedTuple):
    """The step of connecting that failed and why, '' where none did."""

    broken: str = ""  # dns, tcp, proxy, tls
    why: str = ""
    certificate: str = ""  # PEM of the one that was shown


def tls_of(exporter: Exporter) -> Tls:
    return getattr(exporter, "tls", None) or Tls()


def connections_of(exporter: Exporter, env: Mapping[str, str]) -> Connections | None:
    """Return how requests of an exporter go; None where it does not use the network.

    Raise OSError or ValueError where the address cannot be read.
    """
    proxy = ""
    if isinstance(exporter, OtlpHttp):
        address = exporter.url.resolve()
        url = Url.parse(address)
        proxy = exporter.proxy_url.resolve() if exporter.proxy_url else proxy_for(address, env)
    elif isinstance(exporter, OtlpGrpc):
        target = exporter.endpoint.resolve()
        if target.startswith("unix:"):
            return None
        host = target.rpartition("//")[2].removeprefix("dns:").strip("/")
        url = Url.parse(f"https://{host}")  # gRPC means port 443 where none is given, always
        url = replace(url, scheme="http") if exporter.insecure else url
    elif isinstance(exporter, KafkaExporter):
        url = Url.parse(f"http{'s' if exporter.secured else ''}://{exporter.brokers[0]}")
    else:
        return None
    tls = tls_of(exporter)

    def context() -> ssl.SSLContext:
        made = make_context(tls)
        if isinstance(exporter, OtlpGrpc):
            made.set_alpn_protocols(["h2"])
        return made

    return Connections(
        url,
        context=context,
        server_name=tls.server_name_override or "",
        proxy=Url.parse(proxy) if proxy else None,
    )


@dataclass
class ExporterFacts:
    """One exporter, and what was found out about its back end so far."""

    name: str
    exporter: Exporter
    config: Config
    env: Mapping[str, str]
    send: bool = False
    oldest_ns: int = 0  # of what it has not delivered, 0 where that is unknown
    running: ExporterView | None = None  # how a running agent says that it is
    now: Callable[[], float] = field(default=time.time)

    @cached_property
    def connections(self) -> Connections | None:
        return connections_of(self.exporter, self.env)

    @cached_property
    def reached(self) -> ConnectionResult:
        """Connect as the agent does."""
        assert self.connections is not None  # noqa: S101 - checks ask for the way first
        try:
            with self.connections.connect(TIMEOUT_S) as sock:
                shown = sock.getpeercert(True) if self.connections.url.scheme == "https" else None
        except ConnectError as error:
            return ConnectionResult(error.step, str(error))
        except TlsError as error:
            return ConnectionResult("tls", str(error))
        return ConnectionResult(certificate=ssl.DER_cert_to_PEM_cert(shown) if shown else "")

    @cached_property
    def clock_ahead_s(self) -> float | None:
        """Ask the root of the server what time it is there; None where it does not say."""
        if self.connections is None or not isinstance(self.exporter, OtlpHttp):
            return None
        try:
            with ask(self.connections, "HEAD", "/", {}, TIMEOUT_S) as answer:
                then = parsedate_tz(answer.getheader("date", ""))
            return self.now() - mktime_tz(then) if then else None
        except (ConnectError, OSError, HTTPException, ValueError, OverflowError):
            return None

    @property
    def credentials(self) -> Credentials | None:
        auth = getattr(self.exporter, "auth", None)
        named = auth if isinstance(auth, Auth) else None
        return credentials_of(named, self.config.extensions, self.env)

    @cached_property
    def answer(self) -> Outcome:
        """Send one marked record and return what the back end says."""
        receivers = self.config.receivers_of(self.name) or tuple(self.config.receivers)
        sender = sender_of(
            self.exporter, self.config, resource_scopes_of(self.config, self.env), env=self.env
        )
        try:
            return sender.send(sender.prepare(receivers[0], [self.test_record()]))
        finally:
            sender.close()

    def test_record(self) -> bytes:
        """Make a record that can be found, and told from events."""
        now_ns = round(self.now() * 1e9)
        body = "a test record of k8s-audit-otlp doctor: it tells of no request"
        attributes: dict[str, str | int | float | bool] = {
            TEST_EVENT: True,
            "k8s.audit.exporter": self.name,
            "log.record.uid": f"test-{now_ns:x}",
        }
        return encode_record(now_ns, now_ns, 9, TEST_EVENT, body, attributes)
