"""The page in a real browser, where Chromium is: what is open stays open while it is made anew."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from k8s_audit_otlp.telemetry.page import document

BROWSER = shutil.which("chromium")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not there"),
]
LOGS = [f"/var/log/{n}/audit.log" for n in range(6)]
# What somebody at the page does, and what they have before them some seconds later.
VISIT = """<script>
const shown = () => [...document.querySelectorAll("#logs details")];
const note = (name, value) => { document.body.dataset[name] = JSON.stringify(value); };
setTimeout(() => {
  note("before", shown().map(box => box.open));
  const summary = shown()[2].querySelector("summary");
  summary.focus();
  summary.click();
}, 1000);
setTimeout(() => {
  note("open", shown().filter(box => box.open).map(box => box.querySelector("h3").textContent));
  note("focused", document.activeElement.querySelector("h3")?.textContent);
  note("first", shown()[0].querySelector("h3").textContent);
  note("sideways", document.documentElement.scrollWidth - document.documentElement.clientWidth);
}, 6500);
</script></body>"""


class Page(BaseHTTPRequestHandler):
    """Serves the page to somebody who acts on it, and another status at each question."""

    asked = 0

    def do_GET(self) -> None:
        if self.path == "/":
            kind, body = "text/html", document()[0].replace(b"</body>", VISIT.encode())
        else:
            Page.asked += 1
            kind, body = "application/json", json.dumps(status(Page.asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def status(asked: int) -> dict[str, Any]:
    """Return six logs that grow; the last one cannot be read from the second look on."""
    segment = {"name": "audit.log", "size": asked, "state": "open",
               "positions": [{"text": f"{asked} %", "kind": ""}]}  # fmt: skip
    logs = [
        {"path": path, "trouble": "", "exporters": ["siem"], "segments": [segment]} for path in LOGS
    ]
    logs[-1]["trouble"] = "is not there" if asked > 1 else ""
    none: dict[str, list[str]] = {"reasons": [], "exporters": [], "sources": []}
    said = {"version": "1", "pid": 1, "at": float(asked), "verdict": "It is so.", "kind": "good"}
    return {**said, **none, "logs": logs, "apiserver": None}


@pytest.fixture
def address() -> Iterator[str]:
    Page.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_what_is_unfolded_stays_so_and_focused(address: str, tmp_path: Path) -> None:
    """Also where a log that has got into trouble moves to the top meanwhile."""
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               "--window-size=500,900", f"--user-data-dir={tmp_path}",
               "--virtual-time-budget=7500"]  # fmt: skip
    done = subprocess.run(
        [*command, address], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    body = re.search(r"<body([^>]*)>", done.stdout)
    assert body is not None
    found = {
        name: json.loads(unescape(v)) for name, v in re.findall(r'data-(\w+)="([^"]*)"', body[1])
    }
    assert Page.asked > 2, "else nothing was made anew"
    assert found["before"] == [False] * 6, "many logs are folded"
    assert found["first"] == LOGS[-1], "what is bad comes first"
    assert found["open"] == [LOGS[2]]
    assert found["focused"] == LOGS[2]
    assert found["sideways"] == 0
