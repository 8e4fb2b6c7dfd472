"""After a patch in place the apiserver is back, or the old manifest is: with a real process."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from k8s_audit_otlp.apiserver import restart
from k8s_audit_otlp.cli.apiserver import command
from tests.conftest import ManualClock
from tests.kit.backends.certificates import self_signed
from tests.kit.backends.servers import free_port

MANIFEST = Path(__file__).with_name("manifests") / "kubeadm-1.30.yaml"
SERVE = """
import http.server, ssl, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
s = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[2], sys.argv[3])
s.socket = c.wrap_socket(s.socket, server_side=True); s.serve_forever()
"""


class Kubelet:
    """Runs what the manifest says, as kubelet runs a static pod: anew when it changes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.manifest = folder / "manifests" / "kube-apiserver.yaml"
        self.manifest.parent.mkdir()
        text = MANIFEST.read_text().replace("10.1.2.3, path", "127.0.0.1, path")
        self.manifest.write_text(text.replace("6443", str(self.port)))
        self.policy = folder / "policy.yml"
        self.policy.write_text(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
        )
        self._pair = self_signed(folder, "apiserver")
        self.starts: list[bool] = []
        self.fails = False  # what is started with an audit log dies at once
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._seen = ""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            text = self.manifest.read_text()
            if text != self._seen:
                self._seen = text
                self._start(text)
            time.sleep(0.1)

    def _start(self, text: str) -> None:
        self._kill()
        items = yaml.safe_load(text)["spec"]["containers"][0]["command"][1:]
        audited = any(item.startswith("--audit-policy") for item in items)
        self.starts.append(audited)
        if audited and self.fails:
            return
        arguments = ["-c", SERVE, str(self.port), str(self._pair.cert), str(self._pair.key), *items]
        self._process = subprocess.Popen(["kube-apiserver", *arguments], executable=sys.executable)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def patch(self, wait: str) -> Result:
        arguments = [str(self.manifest), "--in-place", "--policy-path", str(self.policy)]
        more = ["--backup-dir", str(self.manifest.parents[1] / "backups"), "--wait", wait]
        return CliRunner().invoke(command, ["patch", *arguments, *more])

    def serving(self) -> bool:
        return restart.serves(("127.0.0.1", self.port))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._kill()


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    running = Kubelet(tmp_path)
    end = time.monotonic() + 60
    while not running.serving():
        assert time.monotonic() < end
        time.sleep(0.1)
    yield running
    running.stop()


def test_it_waits_for_the_new_one(kubelet: Kubelet) -> None:
    """The old one answers for a while after the manifest was written: that is not it."""
    done = kubelet.patch("60s")
    assert done.exit_code == 0, done.stderr
    assert "is back" in done.stderr
    assert kubelet.starts == [False, True]


def test_it_goes_back_where_the_new_one_stays_away(kubelet: Kubelet) -> None:
    """The cluster must not be left without its apiserver."""
    kubelet.fails = True
    before = kubelet.manifest.read_text()
    done = kubelet.patch("4s")
    assert done.exit_code == 1
    assert "the old manifest is in place again" in done.stderr
    assert kubelet.manifest.read_text() == before
    end = time.monotonic() + 60
    while not kubelet.serving():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert kubelet.starts == [False, True, False]


def steps(values: list[bool | None]) -> Callable[[], bool | None]:
    """Return what is seen at each look; the last one stays."""
    left = iter(values)
    return lambda: next(left, values[-1])


@pytest.mark.parametrize(
    ("serving", "new", "verdict"),
    [
        ([True], [None], "unchanged"),  # it never went away, and no process can be seen
        ([True, False, True], [None], "back"),
        ([True], [False], "unchanged"),
        ([True], [False, False, True], "back"),
        ([False, True, False, True, False], [True], "down"),  # dies each time
        ([False], [None], "down"),
    ],
)
def test_what_is_seen_decides(
    serving: list[bool | None], new: list[bool | None], verdict: str, clock: ManualClock
) -> None:
    """Without its process in sight, only having been away shows that it is another one."""
    serves = steps(serving)
    found = restart.wait(
        lambda: bool(serves()), steps(new), 20.0, monotonic=clock, sleep=clock.sleep
    )
    assert found == verdict
