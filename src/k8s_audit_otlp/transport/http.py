"""Posts requests to an OTLP/HTTP back end and says what its answers mean.

The connection is kept alive. A redirect is not followed, an answer is read up to a bound and within
the request's deadline, and no message that leaves here contains a URL's path, query or a header; of
a redirect its server is named.
"""

import re
import ssl
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from urllib.parse import parse_qsl

from k8s_audit_otlp.config.exporters import OtlpHttp
from k8s_audit_otlp.model import Delivered, Failure, Misconfigured, Outcome, Retry
from k8s_audit_otlp.otlp.export_response import (
    error_in,
    read_partial_success,
    read_status,
    without_sent,
)
from k8s_audit_otlp.otlp.hourly_scopes import request_of
from k8s_audit_otlp.transport.compress import compressor
from k8s_audit_otlp.transport.connection import Connections
from k8s_audit_otlp.transport.credentials import Credentials, own_headers
from k8s_audit_otlp.transport.http_answer import Answer, NoAnswerError
from k8s_audit_otlp.transport.proxy import proxy_for
from k8s_audit_otlp.transport.response_codes import read_http
from k8s_audit_otlp.transport.sender import USER_AGENT, ExportRequest, NotSentError, read_setting
from k8s_audit_otlp.transport.tls import TlsError, make_context, stamp, tls_reason
from k8s_audit_otlp.transport.url import UnusableError, Url

_MAX_UNPACKED = 64 * 1024  # of a compressed answer; nobody asked for one
_PAGE = b"<"  # how a web page begins, and nothing that OTLP knows
_PUBLIC_HEADERS = frozenset({"Content-Type", "Content-Encoding", "User-Agent"})
_KEY_IN_PATH = re.compile(r"(?=[^\d]*\d)[\w.~-]{8,}")


class HttpSender:
    """The OTLP/HTTP transport of one exporter. Threads share it."""

    def __init__(
        self,
        exporter: OtlpHttp,
        resource_scopes: Mapping[str, tuple[bytes, bytes]],
        *,
        credentials: Credentials | None = None,
        env: Mapping[str, str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """*resource_scopes*: per receiver the encoded resource and scope.

        *env*: where the proxy variables are looked up.
        """
        self._exporter = exporter
        self._url = exporter.url
        self._credentials = credentials
        self._env = env
        self._resource_scopes = resource_scopes
        self._now = now
        self._compress = compressor(exporter.compression, exporter.compression_params.level)
        self._lock = Lock()  # guards the connections and what they were made for
        self._connections: Connections | None = None
        self._made_for: object = None
        self._fixed = {"Content-Type": "application/x-protobuf", "User-Agent": USER_AGENT}
        if exporter.compression != "none":
            self._fixed["Content-Encoding"] = exporter.compression

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        body = request_of(self._resource_scopes, receiver, records)
        return ExportRequest(self._compress(body), len(body), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        """Post *request* and say what became of it. Never raises for what the world may do."""
        timeout = self._exporter.timeout_s
        try:
            connections = self._connect()
            headers = self._headers(connections.url)
        except NotSentError as error:
            return error.outcome
        url = connections.url
        try:
            answer = connections.post(headers, request.body, timeout)
        except (UnusableError, TlsError) as error:  # which are not about the peer
            return error.outcome
        except (NotSentError, NoAnswerError, OSError) as error:
            outcome: Outcome = read_failure(error, timeout, tls=url.scheme == "https")
        else:
            if answer.status == 401 and self._credentials:
                self._credentials.refused()
            outcome = _without_secrets(self._outcome(answer), headers, url)
        if isinstance(outcome, Delivered):
            return outcome
        return outcome._replace(why=f"{connections.where}: {outcome.why}")

    def _outcome(self, answer: Answer) -> Outcome:
        status, headers = answer.status, answer.headers
        content_type = headers.get("content-type", "").lower()
        body = _unpacked(answer)
        message = read_status(body, content_type) if status >= 300 and body else ""
        if 300 <= status < 400:
            message = _leads_to(headers.get("location", "")) or message
        retried = self._exporter.audit.retry_status_codes
        outcome = read_http(status, headers, message, now=self._now(), retry_also=retried)
        if not isinstance(outcome, Delivered):
            return outcome
        if not answer.whole:
            return Retry(f"HTTP {status}, but the answer broke off or has no end")
        of_grpc = "grpc" in content_type  # whose status may say no where HTTP's says yes
        if self._exporter.accept_any_answer or (body == b"" and not of_grpc):
            return outcome
        return _acknowledgement(status, body or b"", content_type)

    def _headers(self, url: Url) -> dict[str, str]:
        """Return the headers of a request; a configured one replaces ours whatever its case."""
        headers = dict(self._fixed)
        if url.authorization:
            headers["Authorization"] = url.authorization
        if not self._exporter.headers and not self._credentials:
            return headers
        own = own_headers(self._exporter.headers, self._credentials)
        names = {name.lower() for name in own}
        return {n: v for n, v in headers.items() if n.lower() not in names} | own

    def _connect(self) -> Connections:
        """Return the connections; new ones when the address or a certificate file has changed."""
        exporter = self._exporter
        url = read_setting(self._url.resolve, "the endpoint")
        proxy = None
        if exporter.proxy_url is not None:
            proxy = read_setting(exporter.proxy_url.resolve, "the proxy_url")
        made_for = (url, proxy, stamp(exporter.tls.files))
        with self._lock:
            known = self._connections
            if known and self._made_for == made_for:
                return known
            through, named = proxy, "the proxy_url"
            if through is None:
                through = proxy_for(url, self._env)
                named = "the proxy of HTTP_PROXY or HTTPS_PROXY"
            made = Connections(
                _parsed(url, "the endpoint"),
                context=lambda: make_context(exporter.tls),
                server_name=exporter.tls.server_name_override or "",
                proxy=_parsed(through, named) if through else None,
                most_idle=exporter.sending_queue.num_consumers,
            )
            if known:
                known.close()
            self._connections, self._made_for = made, made_for
            return made

    def close(self) -> None:
        with self._lock:
            if self._connections:
                self._connections.close()


def _parsed(url: str, named: str) -> Url:
    try:
        return Url.parse(url)
    except UnusableError as error:
        raise UnusableError(f"{named}: {error}") from None


def _acknowledgement(status: int, body: bytes, content_type: str) -> Outcome:
    """Say whether the body of a success is OTLP's; another one keeps the data."""
    said = content_type.partition(";")[0].strip()[:60]
    what = said or "a body"
    if not said or "protobuf" in said or "json" in said:
        if error := error_in(body, content_type):
            return Misconfigured(f"HTTP {status}, and yet an error: {error}")
        partial = read_partial_success(body, content_type)
        if partial is not None and body:
            return Delivered(*partial)
        what = "a web page" if body.lstrip().startswith(_PAGE) else f"{what} of another form"
    return Misconfigured(
        f"HTTP {status} with {what} is no answer of OTLP: something before the back end, a "
        "login page or a proxy, may give it"
    )


def _leads_to(location: str) -> str:
    """Say of a redirect to which server it leads; '' where that is the same one."""
    try:
        url = Url.parse(location)
    except UnusableError:
        return ""
    return f"to {url.scheme}://{url.authority}"


def _unpacked(answer: Answer) -> bytes | None:
    """Return the body; None where it is packed in a way that is not known, torn or too large."""
    packed = answer.headers.get("content-encoding", "").strip().lower()
    if not packed or not answer.body:
        return answer.body
    if packed not in {"gzip", "x-gzip", "deflate"}:  # which nobody asked for either
        return None
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        body = unpacker.decompress(answer.body, _MAX_UNPACKED)
    except zlib.error:
        return None
    return body if unpacker.eof else None


def _without_secrets(outcome: Outcome, headers: Mapping[str, str], url: Url) -> Outcome:
    """Mask what this exporter sent as a credential where the back end quotes it."""
    if isinstance(outcome, Delivered) and not outcome.message:
        return outcome
    path, _, query = url.target.partition("?")
    sent = [value for name, value in headers.items() if name not in _PUBLIC_HEADERS]
    sent += [value for _, value in parse_qsl(query)]
    sent += filter(_KEY_IN_PATH.fullmatch, path.split("/"))  # /services/T0/B0/key
    return without_sent(outcome, sent)


def read_failure(error: Exception, timeout_s: float, *, tls: bool) -> Failure:
    """Say what a failed exchange means; the text names neither path nor header."""
    if isinstance(error, NotSentError):
        return error.outcome
    if isinstance(error, NoAnswerError) and error.began:
        return Retry(f"the connection broke: {error}")
    if isinstance(error, TimeoutError):
        return Retry(f"no answer within {timeout_s:g} s")
    if isinstance(error, ssl.SSLError):  # TLS 1.3 says after the handshake what it misses
        reason = tls_reason(error)
        hint = (
            "" if error.reason else "; does the server want a client certificate, tls::cert_file?"
        )
        return Retry(f"TLS failed: {reason}{hint}", reached=False)
    said = error.strerror if isinstance(error, OSError) else str(error)
    wants = "want a client certificate, tls::cert_file, or speak" if tls else "speak TLS, or"
    hint = f"; if it stays so: does the port {wants} gRPC?"
    return Retry(f"the connection broke: {said or type(error).__name__}{hint}")
