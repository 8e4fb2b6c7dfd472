"""Hands records to a LoggerProvider of the program that this one is part of.

A BatchLogRecordProcessor says True when it has *tried*: what its exporter fails to deliver is gone,
and nobody here hears of it.
"""

from collections.abc import Sequence

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp import __version__
from k8s_audit_otlp.model import Delivered, Outcome, Retry
from k8s_audit_otlp.otlp.resource import SOURCE
from k8s_audit_otlp.transport.sdk import sdk_records
from k8s_audit_otlp.transport.sender import ExportRequest

SCOPE = "k8s-audit-otlp"
_SAID = {"log.source": SOURCE}  # what the agent's resource says; that of a program does not


class LoggerProviderSender:
    """Emits the records of a request and waits until they have left the provider's queue.

    A request must not hold more than that queue. Resource and scope are those of the provider.
    """

    def __init__(self, provider: LoggerProvider, *, flush_s: float) -> None:
        self._provider = provider
        self._logger = provider.get_logger(SCOPE, __version__)
        self._flush_ms = round(flush_s * 1000)
        self._nowhere = Resource({}), InstrumentationScope(SCOPE)
        self.failures = 0  # flushes that the provider did not confirm

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        body = b"".join(records)
        return ExportRequest(body, len(body), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        for readable in sdk_records([request.body], *self._nowhere, more=_SAID):
            self._logger.emit(readable.log_record)
        if self._provider.force_flush(self._flush_ms):
            return Delivered()
        self.failures += 1
        # It says nothing about the records: they are not to be suspected.
        return Retry("the logger provider was not flushed", reached=False)

    def close(self) -> None:
        """Leave the provider to its owner."""
