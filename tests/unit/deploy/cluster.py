"""A real kube-apiserver whose audit flags are those of a patched manifest, with its etcd."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kit.backends.servers import free_port

TOKEN = "made-up-token-of-an-admin"  # noqa: S105 - known only to a server on the loopback address


@dataclass
class Cluster:
    """Starts in `start`, serves until `stop`; `kubectl` and `helm` talk to it."""

    folder: Path
    find: Callable[[str], str]  # name of a program -> its path
    url: str = ""
    running: list[subprocess.Popen[Any]] = field(default_factory=list)

    def start(self, audit_flags: Any) -> None:
        etcd, peer, secure = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{secure}"
        key = self.folder / "sa.key"
        subprocess.run(
            [self.find("openssl"), "genrsa", "-out", key, "2048"], check=True, capture_output=True
        )
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
        self._run(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=10.9.9.9",
            f"--secure-port={secure}",
            f"--cert-dir={self.folder}/certs",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://cluster.example",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=RBAC",
            *audit_flags,
        )
        self._wait()

    def kubectl(self, *arguments: Any, stdin: Any = None) -> Any:
        return subprocess.run(
            [
                self.find("kubectl"),
                f"--server={self.url}",
                f"--token={TOKEN}",
                "--insecure-skip-tls-verify",
                *arguments,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "KUBECONFIG": os.devnull, "HOME": str(self.folder)},
        )

    def helm(self, *arguments: Any) -> Any:
        server = (f"--kube-apiserver={self.url}", f"--kube-token={TOKEN}")
        return subprocess.run(
            [self.find("helm"), *arguments, *server, "--kube-insecure-skip-tls-verify"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "KUBECONFIG": os.devnull, "HOME": str(self.folder)},
        )

    def stop(self) -> None:
        for process in self.running:
            process.kill()  # nothing of it is kept, and a graceful end takes a minute
            process.wait()

    def _run(self, name: str, *arguments: Any) -> None:
        with (self.folder / f"{name}.out").open("wb") as out:
            self.running.append(
                subprocess.Popen([self.find(name), *arguments], stdout=out, stderr=out)
            )

    def _wait(self) -> None:
        until = time.monotonic() + 300  # beside load it takes minutes
        while self.kubectl("get", "--raw", "/readyz").returncode:
            dead = [process for process in self.running if process.poll() is not None]
            if dead or time.monotonic() > until:
                said = (self.folder / "kube-apiserver.out").read_text()[-3000:]
                raise RuntimeError(f"kube-apiserver is not ready:\n{said}")
            time.sleep(0.5)
