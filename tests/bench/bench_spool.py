"""How fast a spool takes events: requests of 400, from as many threads as ask, every one synced.

python tests/bench/bench_spool.py [--seconds 5] [--threads 4]
"""

import argparse
import tempfile
import time
from pathlib import Path
from threading import Thread

from k8s_audit_otlp.receiver.spool.event_list import lines_of
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

REQUEST = 400  # events, as the apiserver sends them
EVENT_BYTES = 1400


def body_of(worker: int, number: int) -> bytes:
    """Return an EventList that was never seen before."""
    items = (
        b'{"level":"Metadata","auditID":"%d-%d-%d","stage":"ResponseComplete","verb":"get",'
        b'"annotations":{"a":"%b"}}' % (worker, number, n, b"x" * (EVENT_BYTES - 130))
        for n in range(REQUEST)
    )
    head = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
    return head + b",".join(items) + b"]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        spool = Spool(Path(directory), SpoolLimits(1 << 40, 64 << 20, 0))
        spool.open()
        begun = time.monotonic()

        def work(worker: int) -> None:
            number = 0
            while time.monotonic() - begun < arguments.seconds:
                spool.append(lines_of(body_of(worker, number)))
                number += 1

        threads = [Thread(target=work, args=(n,)) for n in range(arguments.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - begun
        spool.close()
    print(f"{spool.written / seconds:,.0f} events/s of {EVENT_BYTES} bytes, synced")  # noqa: T201


if __name__ == "__main__":
    main()
