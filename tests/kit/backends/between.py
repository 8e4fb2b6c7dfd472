"""Stands between a reader of CloudWatch Logs and the service."""

import json
import urllib.error
import urllib.request
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler

from tests.kit.backends.servers import Running


class Between(Running):
    """Passes calls on to the service; some are answered with an error, pages are made short."""

    def __init__(self, url: str, page: int) -> None:
        self.errors: deque[str] = deque()
        self.answered: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()  # for events, by stream
        between = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if between.errors:
                    code = between.errors.popleft()
                    between.answered[code] += 1
                    self._answer(400, json.dumps({"__type": code, "message": code}).encode())
                    return
                if self.headers["X-Amz-Target"].endswith("GetLogEvents"):
                    asked = json.loads(data)
                    between.asked[asked["logStreamName"]] += 1
                    if "nextToken" not in asked:  # a page may be empty, and others behind it
                        nothing = {"events": [], "nextForwardToken": "f/-1"}
                        self._answer(200, json.dumps(nothing).encode())
                        return
                    data = json.dumps({**asked, "limit": page}).encode()
                headers = {k: v for k, v in self.headers.items() if k.lower() != "content-length"}
                call = urllib.request.Request(url, data, headers)  # noqa: S310 - our own server
                try:
                    with urllib.request.urlopen(call, timeout=60) as answer:  # noqa: S310
                        self._answer(answer.status, answer.read())
                except urllib.error.HTTPError as error:
                    with error:
                        self._answer(error.code, error.read())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_: object) -> None: ...  # noqa: A002 - its name

        super().__init__(Handler)
