"""Sends records to an OTLP/gRPC back end, one Export call each time.

The request is passed as bytes; no message object is made of it. Source of the service and of what
its statuses mean: opentelemetry.io/docs/specs/otlp/#otlpgrpc.
"""

import os
import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else it writes to stderr past our own log
import grpc

from k8s_audit_otlp.config.exporters import OtlpGrpc
from k8s_audit_otlp.model import Delivered, Failure, Misconfigured, Outcome, Retry
from k8s_audit_otlp.otlp.export_response import read_partial_success, safe_text, without_sent
from k8s_audit_otlp.otlp.hourly_scopes import request_of
from k8s_audit_otlp.transport.connection import MISCONFIGURED_PROXY
from k8s_audit_otlp.transport.credentials import Credentials, own_headers
from k8s_audit_otlp.transport.http_answer import MAX_BODY_BYTES
from k8s_audit_otlp.transport.response_codes import read_grpc, read_http_failure
from k8s_audit_otlp.transport.sender import USER_AGENT, ExportRequest, NotSentError, read_setting
from k8s_audit_otlp.transport.tls import OTHER_VERSION, TlsError, not_accepted, read_pem, stamp
from k8s_audit_otlp.transport.url import UnusableError, Url

METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_RECONNECT_MS = 1000  # our own back-off decides when to try; the channel should not add to it
_PACKED_BYTES_S = 1_000_000  # by the library, within the deadline; a core alone does 11 times that
_METADATA_BYTES = 65536  # of an answer: a refusal may quote what it refuses
_PROTOBUF = "application/x-protobuf"
# What the library itself says when no server was reached; there is no code of its own for it.
_UNREACHED = re.compile(
    r"failed to connect to all addresses|DNS resolution failed|errors resolving|Connection refused|"
    r"No route to host|Network is unreachable|Connection timed out|tcp handshaker shutdown|"
    r"Ssl handshake failed|SSL_ERROR|CERTIFICATE_VERIFY_FAILED",
    re.IGNORECASE,
)
_BAD_CERTIFICATE = re.compile(
    r"CERTIFICATE_VERIFY_FAILED(?:: ([\w .-]+))?|"
    r"Hostname Verification Check failed",
    re.IGNORECASE,
)
# What it says where the answer, not the request, is over a limit of its own, or a proxy is busy
_OF_THE_ANSWER = re.compile(r"^CLIENT: |\(CLIENT: |metadata size exceeds|RST_STREAM")
_HTTP_STATUS = re.compile(r"Received http2 header with status: ([3-5]\d\d)")
_PROXY_STATUS = re.compile(r"HTTP proxy returned response code (401|403|407)")
# What it says of a port that speaks something else
_NO_ANSWER = re.compile(
    r"Socket closed|Connection reset|Endpoint closing|before receiving SETTINGS"
)
_WRONG_PORT = {
    "Handshake read failed": "does the port speak no TLS? write tls: {insecure: true}",
    "WRONG_VERSION_NUMBER": "does the port speak no TLS? write tls: {insecure: true}",
    "Failed parsing HTTP/2": "the port speaks no gRPC: use otlp_http, or OTLP/gRPC's port (4317)",
    "Data frame with END_STREAM": "a login page or a proxy answers there, and not in gRPC",
    "PROTOCOL_VERSION": OTHER_VERSION,
    "ALPN": "the port speaks TLS, but no gRPC: use otlp_http, or OTLP/gRPC's port (4317)",
}


class GrpcSender:
    """The OTLP/gRPC transport of one exporter. Threads share its channel."""

    def __init__(
        self,
        exporter: OtlpGrpc,
        resource_scopes: Mapping[str, tuple[bytes, bytes]],
        *,
        credentials: Credentials | None = None,
    ) -> None:
        """*resource_scopes*: per receiver the encoded resource and scope."""
        self._exporter = exporter
        self._credentials = credentials
        self._resource_scopes = resource_scopes
        self._lock = Lock()  # guards the channel and what it was made for
        self._channel: Any = None
        self._call: Any = None
        self._made_for: object = None

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        body = request_of(self._resource_scopes, receiver, records)
        return ExportRequest(body, len(body), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        """Export *request* and say what became of it."""
        try:
            call = self._connect()
            metadata = self._metadata()
        except NotSentError as error:
            return error.outcome
        try:
            timeout_s = self._exporter.timeout_s
            if self._exporter.compression == "gzip":
                timeout_s += len(request.body) / _PACKED_BYTES_S
            answer = call(request.body, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            return without_sent(self._failed(error), [value for _, value in metadata])
        except ValueError as error:
            # A channel that was closed while this thread took it, or metadata that cannot be sent.
            return Retry(f"gRPC: {type(error).__name__}", reached=False)
        if answer is None:  # the library takes a page or half an answer for OK, if that is said
            return self._retry("INTERNAL", "OK without an answer")
        partial = read_partial_success(answer, _PROTOBUF)
        if partial is None:  # as a client with generated code says it
            return self._retry("INTERNAL", "the answer is no ExportLogsServiceResponse")
        return without_sent(Delivered(*partial), [value for _, value in metadata])

    def _failed(self, error: Any) -> Failure:
        code: str = error.code().name
        details = error.details() or ""
        metadata = error.trailing_metadata() or ()
        if code == "UNAUTHENTICATED" and self._credentials:
            self._credentials.refused()
        where = f"{_peer(self._made_for)}: "
        if found := _PROXY_STATUS.search(details):
            why = MISCONFIGURED_PROXY[int(found[1])].replace("proxy_url", "https_proxy")
            return Misconfigured(f"{where}the proxy answers HTTP {found[1]} ({why})")
        if not metadata and (found := _BAD_CERTIFICATE.search(details)):
            return Misconfigured(where + not_accepted(found[1] or "it is for another name"))
        if code == "RESOURCE_EXHAUSTED" and _OF_THE_ANSWER.search(details):
            return self._retry(code, details)
        if code == "UNKNOWN" and (status := _HTTP_STATUS.search(details)):
            outcome = read_http_failure(int(status[1]), "no answer of gRPC")
        else:
            outcome = read_grpc(code, safe_text(details), retry_info_s(metadata))
        if metadata or not isinstance(outcome, Retry):  # a server said it
            return outcome._replace(why=where + outcome.why)
        hint = self._hint(details)
        if _UNREACHED.search(details):
            return Retry(f"{where}no connection: {outcome.why}{hint}", reached=False)
        return outcome._replace(why=f"{where}{outcome.why}{hint}")

    def _retry(self, code: str, why: str) -> Retry:
        return Retry(f"{_peer(self._made_for)}: gRPC {code}: {safe_text(why)}")

    def _hint(self, details: str) -> str:
        """Return the likely cause, where the library's own words tell it."""
        for words, hint in _WRONG_PORT.items():
            if words in details:
                return f"; {hint}"
        if not _NO_ANSWER.search(details):
            return ""
        if self._exporter.insecure:
            return "; if it stays so: does the port speak TLS, or no gRPC?"
        return "; if it stays so: does the server want a client certificate, tls::cert_file?"

    def _metadata(self) -> list[tuple[str, str]]:
        named = own_headers(self._exporter.headers, self._credentials)
        for name, value in named.items():
            if not (value.isascii() and value.isprintable()):
                raise UnusableError(f"the header {name} holds a sign that gRPC cannot carry")
        return [(name.lower(), value) for name, value in named.items()]

    def _connect(self) -> Any:
        """Return the call; on a new channel when the address or a certificate has changed."""
        exporter = self._exporter
        target = read_setting(exporter.endpoint.resolve, "the endpoint")
        made_for = (target, stamp(exporter.tls.files))
        with self._lock:
            if self._call is not None and made_for == self._made_for:
                return self._call
            channel = self._open(target)
            old, self._channel = self._channel, channel
            self._call = channel.unary_unary(METHOD)  # bytes in, bytes out
            self._made_for = made_for
        if old is not None:
            old.close()
        return self._call

    def _open(self, target: str) -> Any:
        exporter = self._exporter
        settings = channel_settings(exporter)
        gzip = exporter.compression == "gzip"
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        address = address_of(target)
        if exporter.insecure:
            return grpc.insecure_channel(address, settings, compression)
        if exporter.tls.insecure_skip_verify:
            why = "gRPC always checks certificates; write the server's own as tls::ca_file"
            raise TlsError("insecure_skip_verify", why)
        if exporter.tls.min_version != "1.2":
            raise TlsError("min_version", "gRPC decides itself, 1.2 or newer; leave it out")
        credentials = grpc.ssl_channel_credentials(*read_pem(exporter.tls))
        return grpc.secure_channel(address, credentials, settings, compression)

    def close(self) -> None:
        with self._lock:
            channel, self._channel, self._call = self._channel, None, None
        if channel is not None:
            channel.close()


def _peer(made_for: object) -> str:
    """Return host and port of what a channel was made for, for people."""
    target = made_for[0] if isinstance(made_for, tuple) else ""
    return address_of(str(target))


def address_of(target: str) -> str:
    """Return the name that gRPC resolves; http:// and https:// only say whether there is TLS."""
    if target.lower().startswith(("http://", "https://")):
        url = Url.parse(target)
        return url.host_and_port
    return target.rstrip("/")


def channel_settings(exporter: OtlpGrpc) -> list[tuple[str, Any]]:
    """Return the channel's arguments. Source: grpc/impl/channel_arg_names.h."""
    settings: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", f"{exporter.user_agent or ''} {USER_AGENT}".strip()),
        ("grpc.max_send_message_length", -1),  # the back end's limit is found out, not guessed
        ("grpc.max_receive_message_length", MAX_BODY_BYTES),
        ("grpc.max_metadata_size", _METADATA_BYTES),  # between the two gRPC refuses by chance
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.enable_retries", 0),  # a retry must be counted and waited for here
    ]
    if (pings := exporter.keepalive) and pings.time_s:
        settings += [
            ("grpc.keepalive_time_ms", int(pings.time_s * 1000)),
            ("grpc.keepalive_timeout_ms", int(pings.timeout_s * 1000)),
            ("grpc.keepalive_permit_without_calls", int(pings.permit_without_stream)),
        ]
    if exporter.authority:
        settings.append(("grpc.default_authority", exporter.authority))
    if exporter.tls.server_name_override:
        settings.append(("grpc.ssl_target_name_override", exporter.tls.server_name_override))
    return settings


def retry_info_s(metadata: Sequence[tuple[str, Any]]) -> float | None:
    """Read google.rpc.RetryInfo from `grpc-status-details-bin`; None if there is none."""
    details = next((v for k, v in metadata if k == "grpc-status-details-bin"), None)
    if not isinstance(details, bytes):
        return None
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - rare
    from google.rpc.error_details_pb2 import RetryInfo  # noqa: PLC0415
    from google.rpc.status_pb2 import Status  # noqa: PLC0415

    try:
        for detail in Status.FromString(details).details:
            info = RetryInfo()
            if detail.Unpack(info):
                return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except DecodeError:
        return None
    return None
