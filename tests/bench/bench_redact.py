"""What redaction costs per event.

    python tests/bench/bench_redact.py LOG...

Without a log it measures on generated Metadata events and pods. Best of five, CPU time, decoding
left out.
"""

import gzip
import json
import sys
import time
from pathlib import Path

import msgspec

from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.model import AuditEvent

ROUNDS = 5
decode = msgspec.json.Decoder(AuditEvent).decode


def lines_of(path: Path) -> list[bytes]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.splitlines()


def generated() -> list[bytes]:
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "8a2b1b9e-7f0c-4d7c-9a55-0c7f6e1f8f10",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods?limit=500&resourceVersion=0",
        "verb": "list",
        "user": {"username": "alice", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["10.0.0.1"],
        "userAgent": "kubectl/v1.37.2 (linux/amd64) kubernetes/c0ffee0",
        "objectRef": {"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
    }
    pod = {
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "env": [{"name": "DB", "value": "hunter22hunter"}]}]},
    }
    with_body = {**event, "level": "RequestResponse", "responseObject": pod}
    return [json.dumps(e, separators=(",", ":")).encode() for e in (event, event, with_body)] * 1000


def microseconds(lines: list[bytes]) -> tuple[float, float]:
    """Return the best average cost of one event: decoding it, redacting it."""
    redact = Redactor()
    decoding = redacting = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        events = [(decode(line), line) for line in lines]
        middle = time.process_time()
        for event, line in events:
            redact(event, line)
        decoding = min(decoding, middle - start)
        redacting = min(redacting, time.process_time() - middle)
    return decoding / len(lines) * 1e6, redacting / len(lines) * 1e6


def main() -> None:
    logs = {path: lines_of(Path(path)) for path in sys.argv[1:]} or {"generated": generated()}
    for name, lines in logs.items():
        size = sum(map(len, lines)) / len(lines)
        decoding, redacting = microseconds(lines)
        print(  # noqa: T201 - what a benchmark is for
            f"{name}: redact {redacting:.2f} us/event ({size / redacting:,.0f} MB/s), "
            f"{size:,.0f} bytes/event, decode {decoding:.2f} us"
        )


if __name__ == "__main__":
    main()
