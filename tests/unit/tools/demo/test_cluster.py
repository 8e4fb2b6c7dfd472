"""The demo's cluster writes what kube-apiserver would, into a log that rotates as its log does."""

import gzip
import json
from collections import Counter
from pathlib import Path

from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.tools.demo.cluster import DemoCluster, RotatingLog


def test_every_event_is_one_and_the_mix_has_what_people_look_for() -> None:
    """Each line is one event that reads without a fault; refusals and secrets are among them."""
    cluster = DemoCluster(7)
    lines = [cluster.event() for _ in range(1000)]
    for audit_id, line in lines:
        (read,) = read_line(line)
        assert not read.is_unread
        assert not read.fault
        assert read.event.audit_id == audit_id
    assert len({audit_id for audit_id, _ in lines}) == 1000
    events = [json.loads(line) for _, line in lines]
    codes = Counter(event["responseStatus"]["code"] for event in events)
    assert set(codes) == {101, 200, 201, 401, 403, 404, 409}
    execs = [e["objectRef"] for e in events if e.get("objectRef", {}).get("subresource") == "exec"]
    assert all(ref["resource"] == "pods" and ref["name"] and ref["namespace"] for ref in execs)
    secrets = [e["requestObject"] for e in events if "requestObject" in e]
    assert all(secret["kind"] == "Secret" and secret["data"]["password"] for secret in secrets)
    assert execs
    assert secrets


def test_the_log_rotates_and_loses_no_line(tmp_path: Path) -> None:
    """Backups are compressed, bounded and in order; the live file holds the rest."""
    path = tmp_path / "audit.log"
    log = RotatingLog(path, 3000)
    lines = [f"{{{number:0500}}}".encode() for number in range(23)]
    for line in lines:
        log.write(line)
    log.close()
    backups = sorted(tmp_path.glob("audit-*.log.gz"))
    texts = [gzip.decompress(backup.read_bytes()) for backup in backups] + [path.read_bytes()]
    assert log.rotations == len(backups) == 4
    assert b"".join(texts).splitlines() == lines
    assert all(len(text) <= 3000 for text in texts)
    assert len(list(tmp_path.iterdir())) == 5
