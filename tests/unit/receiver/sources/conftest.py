"""A webhook on a real socket, in the clear or over TLS; spools."""

import errno
import http.client
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.sources import AuditWebhook
from k8s_audit_otlp.receiver.sources.webhook import WebhookSource
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

ROOMY = SpoolLimits(1 << 30, 1 << 20, 0)


class Disk:
    """Writes nothing through to the disk while it fails."""

    fails = False

    def fsync(self, fd: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        os.fsync(fd)


def spool_in(folder: Path, fsync: Callable[[int], None] = os.fsync) -> Spool:
    spool = Spool(folder, ROOMY, fsync=fsync)
    spool.open()
    return spool


def spool_on_a_failing_disk(folder: Path) -> tuple[Spool, Disk]:
    disk = Disk()
    spool = spool_in(folder, disk.fsync)
    disk.fails = True
    return spool, disk


class Served:
    """A webhook with a spool for each cluster that it knows."""

    def __init__(
        self,
        folder: Path,
        keys: Mapping[str, Any],
        limits: SpoolLimits,
        token: Callable[[], str] | None,
        **server: Any,
    ) -> None:
        """*keys*: of the receiver's block."""
        block = AuditWebhook.model_validate({"endpoint": "127.0.0.1:0", **keys})
        self.spools = {
            cluster: Spool(folder / (cluster or "all"), limits)
            for cluster in block.clusters or ("",)
        }
        for spool in self.spools.values():
            spool.open()
        more = {"stop_timeout_s": 1.0, **server}
        self.server = WebhookSource("webhook", self.spools, block, token=token, **more)
        self.port = int(self.server.start().rpartition(":")[2])

    def post(
        self,
        body: bytes,
        path: str = "/audit",
        headers: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> tuple[int, str, dict[str, str]]:
        connection: http.client.HTTPConnection
        if context:
            connection = http.client.HTTPSConnection("localhost", self.port, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def held(self, cluster: str = "") -> list[bytes]:
        return self.spools[cluster].path.read_bytes().splitlines(keepends=True)


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start webhooks; they are stopped after the test."""
    running: list[Served] = []

    def start(
        keys: Mapping[str, Any] | None = None,
        limits: SpoolLimits = ROOMY,
        token: Callable[[], str] | None = None,
        **server: Any,
    ) -> Served:
        folder = tmp_path / f"spool{len(running)}"
        served = Served(folder, keys or {}, limits, token, **server)
        running.append(served)
        return served

    yield start
    for each in running:
        each.server.stop(10.0)
