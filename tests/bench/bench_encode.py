"""CPU per event of decode + redact + map + encode + gzip, in requests of 900 KB.

`default` is what an exporter does that says nothing about redaction; `raw` looks for nothing.

    python tests/bench/bench_encode.py [LOG] [--profile default|plain|semconv]

Without a log it makes its own: Metadata events of 1.4 KB as a busy cluster writes them.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from isal import igzip

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.resource import export_request

BLOCK_BYTES = 256 * 1024
REQUEST_BYTES = 900_000
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RESOURCES = (
    ("", "v1", "pods"), ("", "v1", "configmaps"), ("", "v1", "secrets"),
    ("apps", "v1", "deployments"),
    ("coordination.k8s.io", "v1", "leases"), ("discovery.k8s.io", "v1", "endpointslices"),
    ("batch", "v1", "jobs"), ("rbac.authorization.k8s.io", "v1", "rolebindings"),
)  # fmt: skip
VERBS = ("get", "list", "watch", "update", "patch", "create", "delete")


def uuid(rng: random.Random) -> str:
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def callers(rng: random.Random) -> list[dict[str, Any]]:
    """Service accounts, nodes and people, each with an address and an agent."""
    made = []
    for n in range(150):
        space, name = f"team-{n % 25}", f"controller-{n}"
        key = "authentication.kubernetes.io/"
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{space}"]
        user = {
            "username": f"system:serviceaccount:{space}:{name}",
            "uid": uuid(rng),
            "groups": [*groups, "system:authenticated"],
            "extra": {
                key + "credential-id": [f"JTI={uuid(rng)}"],
                key + "node-name": [f"worker-{n % 40}.cluster.internal"],
                key + "node-uid": [uuid(rng)],
                key + "pod-name": [f"{name}-{rng.getrandbits(32):08x}-abcde"],
                key + "pod-uid": [uuid(rng)],
            },
        }
        agent = f"{name}/v1.4.{n % 9} (linux/amd64) kubernetes/{rng.getrandbits(28):07x}"
        made.append({"user": user, "sourceIPs": [f"10.1.{n % 40}.{n}"], "userAgent": agent})
    for n in range(40):
        groups = ["system:nodes", "system:authenticated"]
        user = {"username": f"system:node:worker-{n}.cluster.internal", "groups": groups}
        agent = "kubelet/v1.33.1 (linux/amd64) kubernetes/8adc0f0"
        made.append({"user": user, "sourceIPs": [f"10.0.0.{n}"], "userAgent": agent})
    return made


def lines(count: int) -> Iterator[bytes]:
    rng = random.Random(7)  # noqa: S311 # the same log each time
    who = callers(rng)
    now = START
    for _ in range(count):
        now += timedelta(microseconds=rng.randrange(1, 2000))
        group, version, resource = rng.choice(RESOURCES)
        verb, space = rng.choice(VERBS), f"team-{rng.randrange(25)}"
        name = f"{resource[:-1]}-{rng.getrandbits(40):010x}"
        named = verb not in ("list", "watch", "create")
        base = f"/apis/{group}" if group else "/api"
        path = f"{base}/{version}/namespaces/{space}/{resource}"
        query = "?labelSelector=app%3Dweb&limit=500&resourceVersion=0" if not named else ""
        target = {"resource": resource, "namespace": space, "name": name if named else ""}
        target |= {"apiGroup": group, "apiVersion": version}
        done = now + timedelta(microseconds=rng.randrange(300, 90_000))
        form = "%Y-%m-%dT%H:%M:%S.%fZ"
        code = rng.choices((200, 201, 404, 409, 403), (80, 10, 5, 3, 2))[0]
        caller = rng.choice(who)
        role = f"team-{who.index(caller) % 25}-controller"
        reason = (
            f'RBAC: allowed by ClusterRoleBinding "{role}" of ClusterRole "{role}" '
            f'to ServiceAccount "{role}/{space}"'
        )
        yield (
            json.dumps(
                {
                    "kind": "Event",
                    "apiVersion": "audit.k8s.io/v1",
                    "level": "Metadata",
                    "auditID": uuid(rng),
                    "stage": "ResponseComplete",
                    "requestURI": path + (f"/{name}" if named else query),
                    "verb": verb,
                    **caller,
                    "objectRef": {key: value for key, value in target.items() if value},
                    "responseStatus": {"metadata": {}, "code": code},
                    "requestReceivedTimestamp": now.strftime(form),
                    "stageTimestamp": done.strftime(form),
                    "annotations": {
                        "authorization.k8s.io/decision": "allow",
                        "authorization.k8s.io/reason": reason,
                    },
                },
                separators=(",", ":"),
            )
            .replace("&", "\\u0026")
            .encode()
            + b"\n"
        )


def blocks(data: bytes) -> Iterator[Block]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", min(start + BLOCK_BYTES, len(data) - 1)) + 1 or len(data)
        yield Block(Span(1, start, end), "9f3c2a7b1d4e5f60", "audit.log", data[start:end], 1)
        start = end


def run(encoder: Encoder, whole: list[Block], *, compress: bool) -> tuple[int, int]:
    """Encode everything; the bytes of all requests before and after gzip."""
    request: list[bytes] = []
    size = raw = sent = 0
    for block in whole:
        for record in encoder.encode_block(block).records:
            request.append(record)
            size += len(record)
            if size > REQUEST_BYTES:
                raw += size
                sent += len(igzip.compress(export_request(b"", b"", request), 2)) if compress else 0
                request, size = [], 0
    raw += size
    sent += len(igzip.compress(export_request(b"", b"", request), 2)) if compress and request else 0
    return raw, sent


def encoders(options: MappingOptions) -> Iterator[tuple[str, Encoder]]:
    processor = EventProcessor(None, Redactor())
    yield "default", Encoder(options, transform=processor, clean=processor.clean_parts())
    yield "raw", Encoder(options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", nargs="?", type=Path)
    parser.add_argument("--profile", default="default", choices=("default", "plain", "semconv"))
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    data = options.log.read_bytes() if options.log else b"".join(lines(options.events))
    count, whole = data.count(b"\n"), list(blocks(data))
    for kind, encoder in encoders(MappingOptions(profile=options.profile)):
        for name, compress in (("encode", False), ("encode + gzip", True)):
            times = []
            for _ in range(options.rounds):
                start = time.process_time()
                raw, sent = run(encoder, whole, compress=compress)
                times.append(time.process_time() - start)
            each = min(times) / count
            rate = f"{1 / each:,.0f} events, {len(data) / min(times) / 1e6:.0f} MB per CPU-second"
            print(f"{kind}: {name}: {each * 1e6:.2f} us per event ({rate})")  # noqa: T201 # a report
    print(f"line {len(data) / count:.0f} B, record {raw / count:.0f} B, sent {sent / count:.0f} B")  # noqa: T201 # a report


if __name__ == "__main__":
    main()
