"""Runs the agent and writes what CPU each of its threads has taken, by the thread's name.

    python -m tests.bench.by_thread RESULT run --config FILE ...

The kernel counts it, in nanoseconds; a thread of this module takes it down every 50 ms and
at the end.
"""

import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

from k8s_audit_otlp.cli import main

_EVERY_S = 0.05
_KINDS = ("read", "send", "watch", "answer")  # of an exporter or log, of which there may be several


def _kind(name: str) -> str:
    first = name.partition(" ")[0]
    return first if first in _KINDS else name


def _take_down(taken: dict[int, tuple[str, int]]) -> None:
    for thread in threading.enumerate():
        try:
            spent = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
        except OSError:
            continue
        taken[thread.native_id or 0] = _kind(thread.name), int(spent)


def run(result: Path) -> None:
    taken: dict[int, tuple[str, int]] = {}

    def watch() -> None:
        while True:
            _take_down(taken)
            time.sleep(_EVERY_S)

    threading.Thread(target=watch, name="this measurement", daemon=True).start()
    try:
        main()
    finally:
        _take_down(taken)
        found: dict[str, float] = defaultdict(float)
        for name, nanoseconds in taken.values():
            found[name] += nanoseconds / 1e9
        found["all"] = time.process_time()
        result.write_text(json.dumps(found))


if __name__ == "__main__":
    target = Path(sys.argv.pop(1))
    run(target)
