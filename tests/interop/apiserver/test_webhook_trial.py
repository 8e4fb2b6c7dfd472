"""A trial of the webhook as its pages tell it, and a disk that is full or slow under it.

The command prints the file, the flags, the certificates and the agent's side; a real kube-apiserver
takes them as they are. It writes the same events to its log: what is in there must arrive.
"""

import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.processes import GAP, environment
from tests.faults.scenario import small_disk
from tests.interop.apiserver.apiserver import ApiServer
from tests.interop.apiserver.test_apiserver import programs
from tests.interop.apiserver.test_webhook import (
    apiserver,
    arrived,
    given_up_by,
    listening,
    wait_for_all,
)
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]
__all__ = ["apiserver", "programs"]

LOAD_S = 10.0
# kube-apiserver repeats a refused batch for so long: 10 times after Retry-After, 5 times over.
REPEATS_S = 280.0


def trial(folder: Path, port: int) -> tuple[list[str], dict[str, Any]]:
    """Do what the page says; return the flags for kube-apiserver and the agent's receivers."""
    file = folder / "webhook.yaml"
    command = [
        *(sys.executable, "-m", "k8s_audit_otlp", "apiserver", "webhook"),
        *("--url", f"https://127.0.0.1:{port}/audit/prod", "--file", str(file)),
        *("--make-certificates", "pki"),
    ]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    file.write_text(done.stdout)
    flags = re.findall(r"^(--audit-\S+)", done.stderr, re.MULTILINE)
    side = done.stderr[done.stderr.index("receivers:") : done.stderr.index("--audit-")]
    return flags, yaml.safe_load(side)


def configure(folder: Path, side: dict[str, object], backend: Backend) -> Path:
    retry = {"initial_interval": "100ms", "max_interval": "1s"}
    tree = {
        **side,
        "exporters": {
            "otlp_http": {
                "endpoint": backend.url,
                "retry_on_failure": retry,
                "audit": {"bodies": "raw", "unsafe": True},
            }
        },
        "service": {"state_dir": str(folder / "state")},
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(tree))
    return folder / "agent.yaml"


def fill(folder: Path) -> Path:
    ballast = folder / "state" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


@pytest.mark.parametrize("trouble", ["none", "full disk", "frozen"])
def test_a_trial_delivers_what_the_apiserver_writes(
    apiserver: ApiServer, tmp_path: Path, trouble: str
) -> None:
    """What was answered 200 arrives; what was refused is repeated, or counted as given up."""
    port = free_port()
    full = trouble == "full disk"
    disk = small_disk(tmp_path / "state") if full else nullcontext(enter_result=True)
    with disk as mounted, Backend(keep="records") as backend:
        if not mounted:
            pytest.skip("no disk can be mounted here")
        flags, side = trial(tmp_path, port)
        receiver = side["receivers"]["k8s_audit_webhook"]
        if full:
            spool = {"max_bytes": "3MiB", "segment_bytes": "500KiB", "min_free_disk": "1B"}
            receiver["spool"] = spool
        with listening(configure(tmp_path, side, backend), port) as agent:
            apiserver.start(*flags, "--audit-log-maxsize=1000")
            load = apiserver.load(LOAD_S, workers=2)
            time.sleep(4)
            if full:
                ballast = fill(tmp_path)
                time.sleep(3)
                ballast.unlink()
            elif trouble == "frozen":  # as behind a disk that does not answer
                agent.signal(signal.SIGSTOP)
                time.sleep(4)
                agent.signal(signal.SIGCONT)
            load.wait(60)
            events = wait_for_all(apiserver, backend, REPEATS_S)
            apiserver.stop()
            agent.end(signal.SIGTERM)
        said = (tmp_path / "agent.log").read_text()
    found = arrived(backend)
    lost = events.keys() - found.keys()
    given_up = given_up_by(apiserver.log.parent.parent / "kube-apiserver.out")
    print(  # noqa: T201 - shown with -s
        f"{trouble}: {len(events)} events, {len(lost)} missing, {given_up} given up by the "
        f"apiserver, {backend.received.duplicates} repeats"
    )
    assert len(events) > 200
    assert len(lost) <= given_up
    assert all(found[key] == events[key] for key in events.keys() - lost)
    assert not [n for n in backend.received.notices if n.event_name == GAP]
    if full:
        assert "503" in said
    assert Path(receiver["tls"]["cert_file"]).is_absolute()  # kube-apiserver runs elsewhere
