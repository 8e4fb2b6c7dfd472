"""Runs a real kube-apiserver with its etcd, which writes an audit log under load.

`Keeper` holds every generation of that log open, so that what the apiserver deletes can still be
compared: descriptors change no link count and no name, so the agent cannot see them.
"""

import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from k8s_audit_otlp.receiver.identity import identify
from k8s_audit_otlp.tools.verify.disk import events_of
from tests.kit.backends.servers import free_port

TOKEN = "made-up-token-of-an-admin"  # noqa: S105 - known only to a server on the loopback address
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  resources: [{group: "", resources: [pods]}]
- level: Metadata
"""


class ApiServer:
    """Writes `audit.log` in a folder of its own while it runs."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.log = folder / "log" / "audit.log"
        self._programs = programs
        self._folder = folder
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *audit_flags: str, timeout: float = 120.0) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        key = self._folder / "sa.key"
        openssl = ["openssl", "genrsa", "-out", str(key), "2048"]
        subprocess.run(openssl, check=True, capture_output=True)
        (self._folder / "policy.yaml").write_text(POLICY)
        (self._folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
        etcd, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._run(
            "etcd",
            f"--data-dir={self._folder}/etcd",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=10.9.9.9",
            f"--secure-port={self._port}",
            f"--cert-dir={self._folder}/certs",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://cluster.example",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            f"--token-auth-file={self._folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self._folder}/policy.yaml",
            f"--audit-log-path={self.log}",
            *audit_flags,
        )
        self._wait_until_ready(timeout)

    def load(self, seconds: float, workers: int) -> subprocess.Popen[bytes]:
        """Let clients create, change and delete pods for a while."""
        command = (
            *(self._programs / "load", f"-base=https://127.0.0.1:{self._port}"),
            *(f"-token={TOKEN}", f"-for={seconds}s", f"-workers={workers}"),
        )
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def metrics(self) -> str:
        """Return what it tells a scraper."""
        with self._ask("/metrics", 60) as answer:
            text: str = answer.read().decode()
        return text

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _run(self, name: str, *flags: str) -> None:
        with (self._folder / f"{name}.out").open("ab") as out:
            command = [str(self._programs / name), *flags]
            self._processes.append(subprocess.Popen(command, stdout=out, stderr=out))

    def _ask(self, path: str, timeout: float) -> Any:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        url = f"https://127.0.0.1:{self._port}{path}"
        ask = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        return opener.open(ask, timeout=timeout)

    def _wait_until_ready(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            try:
                self._ask("/readyz", 2).close()
            except OSError:  # urllib's errors are among them
                if time.monotonic() > end or self._processes[-1].poll() is not None:
                    said = (self._folder / "kube-apiserver.out").read_text()[-2000:]
                    raise RuntimeError(f"kube-apiserver is not ready:\n{said}") from None
                time.sleep(0.2)
            else:
                return


class Keeper:
    """Knows everything that was written to a log, deleted or not."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._files: dict[tuple[int, int], int] = {}  # device and inode -> descriptor
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="keeper")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for descriptor in self._files.values():
            os.close(descriptor)

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.look()

    def look(self) -> None:
        """Open what is new. The live file lasts much longer than the time between two looks."""
        for path in (self._log, *self._log.parent.glob("audit-*.log")):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            info = os.fstat(descriptor)
            if self._files.setdefault((info.st_dev, info.st_ino), descriptor) != descriptor:
                os.close(descriptor)

    def files(self) -> int:
        """Count the generations that were seen so far."""
        return len(self._files)

    def segments(self) -> dict[str, list[int]]:
        """Return the offsets of all events of every segment, by its identity."""
        found = {}
        for descriptor in self._files.values():
            data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            if (identity := identify(data, finished=True)) is not None:
                found[identity.name] = list(offsets_of(data))
        return found


def offsets_of(data: bytes) -> "list[int]":
    """Return where each event of a file begins."""
    offsets, at = [], 0
    for line in data.splitlines(keepends=True):
        offsets += [at + place for place, _, _ in events_of(line.rstrip(b"\n"))]
        at += len(line)
    return offsets
