"""An `opentelemetry_logs_exporter` that can say no: sends SDK records as OTLP requests.

Registered as `k8s_audit_otlp` (OTEL_LOGS_EXPORTER=k8s_audit_otlp) and set up by the
OTEL_EXPORTER_OTLP_* variables. A request that is too large or refused is split until only the bad
records are left; a partial success is a failure, said with its numbers. Not durable: what cannot be
delivered within the deadline is gone, as with every exporter of the SDK. The agent is durable.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Event
from typing import Final, Protocol

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from k8s_audit_otlp.agent.build import sender_of
from k8s_audit_otlp.config.audit import LimitsBlock
from k8s_audit_otlp.config.exporters import Exporter, OtlpGrpc, OtlpHttp
from k8s_audit_otlp.config.otel_env import from_environment
from k8s_audit_otlp.config.vendors.apply import vendor_at
from k8s_audit_otlp.config.vendors.preset import VENDORS
from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.bisect import deliver_now
from k8s_audit_otlp.exporter.reasons import why_of
from k8s_audit_otlp.model import Delivered, Outcome, Rejected, Retry, TooLarge
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.attributes_sum import SumLimiter
from k8s_audit_otlp.otlp.mapping import MappingOptions

logger = logging.getLogger("k8s_audit_otlp")

DEADLINE_S: Final = 30.0  # for one export, all repeats included: OTEL_BLRP_EXPORT_TIMEOUT's default
BACKOFF: Final = Backoff(initial_s=0.5, max_s=5.0, multiplier=1.5, randomization=0.5)
GROUP: Final = "group"
_NO_LOG: Final = "/nonexistent/audit.log"  # the program hands its records over: none is read


@dataclass(slots=True)
class _ExportTally:
    """What became of the records of one export."""

    refused: int = 0
    undelivered: int = 0
    why: str = ""


class AuditLogRecordExporter(LogRecordExporter):
    """Sends to one back end; SUCCESS means that it has accepted every record."""

    def __init__(
        self,
        *,
        env: Mapping[str, str] = os.environ,
        vendor: str = "",
        deadline_s: float = DEADLINE_S,
        monotonic: Callable[[], float] = time.monotonic,
        roll: Callable[[], float] = random.random,
    ) -> None:
        """Read where to send from *env*.

        *vendor*: the preset whose bound holds for a record's attributes in sum; by default that
        of the host.

        Raise ConfigError where a variable cannot be understood.
        """
        self._resource_scopes: dict[str, tuple[bytes, bytes]] = {}
        config = from_environment(_NO_LOG, None, env).config
        (exporter,) = config.exporters.values()
        self._sender = sender_of(exporter, config, self._resource_scopes)
        self._limit = _limiter_of(exporter, vendor)
        self._deadline_s = deadline_s
        self._monotonic = monotonic
        self._roll = roll
        self._stop = Event()

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Deliver *batch*, or say how many of its records the back end does not have."""
        end = self._monotonic() + self._deadline_s
        tally = _ExportTally()
        for resource, scope, records in _groups(batch, self._limit):
            self._resource_scopes[GROUP] = (resource, scope)
            self._deliver(records, end, tally)
        lost = tally.refused + tally.undelivered
        if not lost:
            return LogRecordExportResult.SUCCESS
        logger.error(
            "%d of %d log records were refused and %d not delivered: %s",
            tally.refused,
            len(batch),
            tally.undelivered,
            tally.why,
        )
        return LogRecordExportResult.FAILURE

    def _deliver(self, records: Sequence[bytes], end: float, tally: _ExportTally) -> None:
        """Send, split and repeat until every record is accepted, refused or out of time."""
        for decided, outcome in deliver_now(records, partial(self._send, end)):
            if isinstance(outcome, Delivered):
                if not outcome.rejected:
                    continue
                tally.refused += outcome.rejected
            elif isinstance(outcome, Rejected | TooLarge):
                tally.refused += 1
            else:
                tally.undelivered += len(decided)
            tally.why = why_of(outcome)

    def _send(self, end: float, records: Sequence[bytes]) -> Outcome:
        request = self._sender.prepare(GROUP, records)
        for attempt in count():
            outcome = self._sender.send(request)
            if not isinstance(outcome, Retry):
                break
            wait = BACKOFF.delay_s(attempt, self._roll(), outcome.after_s)
            if self._monotonic() + wait >= end or self._stop.wait(wait):
                break
        return outcome

    def shutdown(self) -> None:
        """End repeats and close the connections."""
        self._stop.set()
        self._sender.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Return True: nothing is held between exports."""
        return True


def _limiter_of(exporter: Exporter, name: str) -> SumLimiter:
    at_host = vendor_at(exporter) if isinstance(exporter, OtlpHttp | OtlpGrpc) else None
    vendor = VENDORS[name] if name else at_host
    block = LimitsBlock.model_validate(vendor.limits if vendor else {})
    return SumLimiter(MappingOptions(limits=block.limits.attributes))


def _groups(
    batch: Sequence[ReadableLogRecord], limit: SumLimiter
) -> Iterator[tuple[bytes, bytes, list[bytes]]]:
    """Yield the records of each resource and scope, encoded as the transports take them.

    Their attributes are cut to what the back end takes in sum.
    """
    for of_resource in encode_logs(batch).resource_logs:
        resource = _fields(wire.RESOURCE, of_resource.resource, of_resource.schema_url)
        for of_scope in of_resource.scope_logs:
            scope = _fields(wire.SCOPE, of_scope.scope, of_scope.schema_url)
            encoded = (record.SerializeToString() for record in of_scope.log_records)
            messages = (m if len(m) <= limit.beside else limit(m) for m in encoded)
            records = [wire.record_head(len(message)) + message for message in messages]
            yield resource, scope, records


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name


def _fields(tag: bytes, message: _Message, schema_url: str) -> bytes:
    schema = wire.text(wire.SCHEMA_URL, schema_url) if schema_url else b""
    return wire.delimited(tag, message.SerializeToString()) + schema
