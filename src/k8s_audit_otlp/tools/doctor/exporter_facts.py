"""Finds out what the back end of an exporter is: name, connection, certificate, clock.

Each step is tried once, when the first check asks for it. Nothing is sent to the path of the logs:
some back ends take an empty request for a broken one.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from typing import Any

from k8s_audit_otlp.agent.build import resource_scopes_of, sender_of
from k8s_audit_otlp.config.blocks import Auth, Tls
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter, KafkaExporter, OtlpGrpc, OtlpHttp
from k8s_audit_otlp.model import Outcome
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.transport.connection import ConnectError, tunnel
from k8s_audit_otlp.transport.credentials import Credentials, credentials_of
from k8s_audit_otlp.transport.proxy import proxy_for
from k8s_audit_otlp.transport.tls import TlsError, make_context
from k8s_audit_otlp.transport.url import Url

TIMEOUT_S = 5.0  # of one step: whoever waits for the doctor is a person
_GRPC_PORT = 443
TEST_EVENT = "k8s.audit.agent.test"


class StepError(Exception):
    """A step that did not work; the text is safe to print and says why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests of an exporter go, and through what."""

    host: str
    port: int
    tls: bool
    server_name: str
    proxy: Url | None = None

    @property
    def first(self) -> tuple[str, int]:
        """The first address that is connected to."""
        return self.proxy.address if self.proxy else (self.host, self.port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def place_of(exporter: Exporter, env: Mapping[str, str]) -> Endpoint | None:
    """Return where an exporter sends; None where it does not use the network.

    Raise StepError where the address cannot be read.
    """
    try:
        if isinstance(exporter, OtlpHttp):
            text = exporter.url.resolve()
            url = Url.parse(text)
            proxy = exporter.proxy_url.resolve() if exporter.proxy_url else proxy_for(text, env)
            name = exporter.tls.server_name_override or url.host
            secure = url.scheme == "https"
            return Endpoint(url.host, url.port, secure, name, Url.parse(proxy) if proxy else None)
        if isinstance(exporter, OtlpGrpc):
            return _grpc_place(exporter)
        if isinstance(exporter, KafkaExporter):
            host, _, port = exporter.brokers[0].rpartition(":")
            return Endpoint(host.strip("[]"), int(port), exporter.secured, host.strip("[]"))
    except OSError as error:
        raise StepError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise StepError(f"{error}") from None
    return None


def _grpc_place(exporter: OtlpGrpc) -> Endpoint | None:
    target = exporter.target.resolve()
    if target.startswith("unix:"):
        return None
    rest = target.rpartition("//")[2].removeprefix("dns:").removeprefix("/").rstrip("/")
    host, _, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    host = (host or rest).strip("[]")
    number = int(port) if port.isdecimal() else _GRPC_PORT
    return Endpoint(host, number, not exporter.insecure, exporter.tls.server_name_override or host)


@dataclass
class ExporterFacts:
    """One exporter, and what was found out about its back end so far."""

    name: str
    exporter: Exporter
    config: Config
    env: Mapping[str, str]
    send: bool = False
    oldest_ns: int = 0  # of what it has not delivered, 0 where that is unknown
    now: Callable[[], float] = field(default=time.time)

    @cached_property
    def place(self) -> Endpoint | None:
        return place_of(self.exporter, self.env)

    @cached_property
    def tls(self) -> Tls:
        block = getattr(self.exporter, "tls", None)
        return block or Tls()

    @cached_property
    def addresses(self) -> list[str]:
        """Resolve the first host that is connected to."""
        assert self.place is not None  # noqa: S101 - checks ask for the place first
        host, port = self.place.first
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise StepError(f"{host}: {getattr(error, 'strerror', None) or error}") from None
        return list(dict.fromkeys(str(info[4][0]) for info in found))

    def dial(self) -> socket.socket:
        """Connect to the first host. Raises StepError."""
        assert self.place is not None  # noqa: S101 - checks ask for the place first
        _ = self.addresses
        try:
            return socket.create_connection(self.place.first, TIMEOUT_S)
        except OSError as error:
            host, port = self.place.first
            why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
            raise StepError(f"{host}:{port}: {why}") from None

    def reach(self) -> socket.socket:
        """Connect to the back end itself, through the proxy where TLS asks for a tunnel."""
        sock = self.dial()
        place = self.place
        if place is None or place.proxy is None or not place.tls:
            return sock
        try:
            tunnel(sock, str(place), place.proxy)
        except (ConnectError, OSError) as error:
            sock.close()
            why = str(error)
            if isinstance(error, OSError):
                why = f"the proxy does not answer: {error.strerror or error}"
            raise StepError(why) from None
        return sock

    @cached_property
    def certificate(self) -> Mapping[str, Any]:
        """Shake hands as the agent does; return the server's certificate, {} if unchecked."""
        assert self.place is not None  # noqa: S101 - checks ask for the place first
        with self.secure() as secured:
            return secured.getpeercert() or {}

    def secure(self) -> ssl.SSLSocket:
        """Connect under TLS. Raises StepError."""
        assert self.place is not None  # noqa: S101 - checks ask for the place first
        try:
            context = make_context(self.tls)
        except TlsError as error:
            raise StepError(str(error)) from None
        if isinstance(self.exporter, OtlpGrpc):
            context.set_alpn_protocols(["h2"])
        sock = self.reach()
        try:
            return context.wrap_socket(sock, server_hostname=self.place.server_name)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise StepError(f"the certificate is not accepted: {error.verify_message}") from None
        except OSError as error:
            sock.close()
            raise StepError(f"TLS failed: {getattr(error, 'reason', '') or error}") from None

    @cached_property
    def authorities(self) -> list[Mapping[str, Any]]:
        """Return the authorities that the configuration names, none where the system's count."""
        if not self.tls.has_own_ca:
            return []
        try:
            return list(make_context(self.tls).get_ca_certs())
        except TlsError as error:
            raise StepError(str(error)) from None

    @cached_property
    def clock_ahead_s(self) -> float | None:
        """Ask the root of the server what time it is there; None where it does not say."""
        place = self.place
        if place is None or isinstance(self.exporter, OtlpGrpc | KafkaExporter):
            return None
        with self.secure() if place.tls else self.reach() as sock:
            target = f"http://{place}/" if place.proxy and not place.tls else "/"
            head = f"HEAD {target} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n"
            try:
                sock.sendall(head.encode("latin-1"))
                answer = HTTPResponse(sock, method="HEAD")
                answer.begin()
            except OSError as error:
                raise StepError(f"it does not answer: {error.strerror or error}") from None
            except HTTPException:
                return None
            return _ahead_s(answer.getheader("date", ""), self.now())

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


def _ahead_s(date: str, now: float) -> float | None:
    try:
        then = parsedate_tz(date)
        return now - mktime_tz(then) if then else None
    except (ValueError, OverflowError):
        return None
