"""What one request costs each transport, beside making its records.

    python -m tests.bench.bench_senders

320 records of about 1.1 KB, a back end in a process of its own on loopback. Best of five, CPU time
of this process.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k8s_audit_otlp.config.exporters import OtlpFile
from k8s_audit_otlp.model import Delivered
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.transport.file import FileSender
from k8s_audit_otlp.transport.sender import Sender
from tests.kit.senders import grpc_sender, http_sender

ROUNDS, REQUESTS = 5, 200
ENVELOPES = {"k8s_audit": (b"", b"")}
RECORDS = [
    encode_record(1, 2, 9, "k8s.audit.event", "x" * 1000, {"log.record.uid": f"{i:x}"})
    for i in range(320)
]
_HTTP = """
import time
from tests.kit.backends.backend import Backend
backend = Backend(keep="nothing"); backend.start(); print(backend.logs_url, flush=True)
time.sleep(600)
"""
_GRPC = """
import time
from tests.kit.backends.grpc_backend import GrpcBackend
backend = GrpcBackend(keep="nothing"); backend.start(); print(backend.target, flush=True)
time.sleep(600)
"""


@contextmanager
def served(script: str) -> Iterator[str]:
    """Run a back end; yield where it listens."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def best(work: object, times: int) -> float:
    """Return the CPU time of one call in microseconds."""
    assert callable(work)
    found = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(times):
            work()
        found = min(found, (time.process_time() - started) / times)
    return found * 1e6


def measure(name: str, sender: Sender) -> None:
    request = sender.prepare("k8s_audit", RECORDS)
    if sender.send(request) != Delivered():
        raise SystemExit(f"{name}: {sender.send(request)}")
    prepare = best(lambda: sender.prepare("k8s_audit", RECORDS), 20)
    send = best(lambda: sender.send(request), REQUESTS)
    print(f"{name:10} prepare {prepare:7.0f} µs   send {send:7.0f} µs")  # noqa: T201
    sender.close()


def main() -> None:
    with served(_HTTP) as url:
        measure("http gzip", http_sender(url, ENVELOPES))
    with served(_GRPC) as target:
        for compression in ("none", "gzip"):
            measure(f"grpc {compression}", grpc_sender(target, ENVELOPES, compression=compression))
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "audit.jsonl")
        measure("file", FileSender(OtlpFile(path=path), ENVELOPES))


if __name__ == "__main__":
    main()
