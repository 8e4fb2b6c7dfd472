"""What happens to the log and to the disk of the state during the hour."""

import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.hour import HELD, ILL, WELL, Hour
from tests.faults.hour_answers import alerts, all_is_well, answers_agree, pictures, tapped


def full_disk(hour: Hour) -> None:
    """Delivery goes on; what cannot be stored is said, and it is not ready."""
    if not hour.has_disk:
        return
    before = hour.metrics()
    ballast = hour.state / "ballast"
    crowd(ballast)
    hour.write(60)
    hour.rotate()
    with tapped(hour, ILL) as seen:
        hour.write(5)
    assert seen, "delivery goes on"
    hour.until(lambda: hour.said("state_unwritable"))

    def everyone_says_so() -> bool:
        crowd(ballast)  # what was replaced since has left some room
        ready, page, status = hour.ready(), hour.page(), hour.status()
        return (
            any("No space left" in reason and "make room" in reason for reason in ready)
            and page["reasons"] == ready
            and page["kind"] == "bad"
            and hour.metric("ready") == 0
            and f"agent {hour.pid} is running" in status
            and f"not ready: {ready[0]}" in status
        )

    hour.until(everyone_says_so)
    pictures(hour)
    hour.until(lambda: not hour.missing(hour.well) and not hour.missing(hour.ill))
    hour.until(lambda: crowd(ballast) and "AuditNotReady" in alerts(hour, before))
    ballast.unlink()
    hour.until(lambda: hour.said("state_written"))
    all_is_well(hour)
    hour.until(lambda: "not ready" not in hour.status())


def deleted(hour: Hour) -> None:
    """Without its log it is unready, and names the file; back again, all is well."""
    before = hour.metrics()
    hour.log.unlink()
    hour.until(lambda: any(str(hour.log) in reason for reason in hour.ready()))
    assert "doctor" in hour.ready()[0]
    hour.until(lambda: hour.metric("ready") == 0)
    assert "AuditNotReady" in alerts(hour, before)
    assert hour.page()["logs"][0]["trouble"]
    hour.until(lambda: f"not ready: {hour.log}" in hour.status())
    hour.until(lambda: hour.said("log_trouble"))
    answers_agree(hour)
    with tapped(hour, ILL) as seen:
        hour.write(20)
    assert seen, "the new file is read"
    hour.until(lambda: hour.ready() == [])
    hour.until(lambda: hour.said("log_readable"))
    all_is_well(hour)
    assert "AuditRunwayShort" not in alerts(hour, before)


def deleted_with_a_backlog(hour: Hour) -> None:
    """Its descriptor is held for the exporter that is behind; that the log is away is said, too."""
    before = hour.metrics()
    hour.ill.stop()
    with tapped(hour, WELL) as seen:
        hour.write(40)
    assert seen[0]["exporter"] == WELL, "the other one goes on"
    hour.until(lambda: hour.metric("waiting_requests", ILL) >= 1)
    hour.log.unlink()
    hour.until(lambda: any("is not there" in reason for reason in hour.ready()))
    hour.until(lambda: hour.said("log_trouble"), 150)  # the second time in a minute: at its end
    assert hour.page()["logs"][0]["trouble"]
    assert HELD in hour.card()["next"], "its descriptor is held"
    assert "Do not restart this process" in hour.page()["verdict"]
    hour.until(lambda: "by this process alone: do not restart it" in hour.status())
    hour.until(lambda: "not ready" in (now := hour.status()) and "Connection refused" in now)
    assert hour.metric("ready") == hour.metric("gone_bytes", ILL) == 0
    answers_agree(hour)
    assert alerts(hour, before) >= {"AuditNotReady", "AuditExporterUnhealthy"}
    hour.write(20)
    hour.until(lambda: hour.said("log_readable"), 150)
    hour.until(lambda: hour.ready() == [])
    hour.configure(key="another")
    hour.signal(signal.SIGHUP)
    hour.until(lambda: hour.said("reloaded"))
    hour.until(lambda: HELD in hour.card()["next"])
    hour.ill.start()
    all_is_well(hour)
    assert hour.metric("gaps_total", '"deleted"') == 0


def truncated(hour: Hour) -> None:
    """Call nothing lost that was read by then: it is in memory, and arrives."""
    before = hour.metrics()
    gaps = hour.metric("gaps_total", ILL)
    hour.ill.stop()
    time.sleep(0.3)
    with tapped(hour, WELL) as seen:
        hour.write(80)
    assert seen[0]["exporter"] == WELL, "the other one has them all"
    hour.until(lambda: not hour.missing(hour.well))
    hour.until(lambda: hour.metric("waiting_requests", ILL) >= 1)
    hour.log.write_bytes(b"")
    hour.write(10)
    hour.until(lambda: hour.card()["only_here_bytes"] > 0)
    assert HELD in hour.card()["next"]
    hour.until(lambda: "by this process alone: do not restart it" in hour.status())
    assert "were deleted before" not in hour.status()
    assert hour.metric("gone_bytes", ILL) == 0
    assert hour.ready() == [], "events flow"
    answers_agree(hour)
    hour.ill.start()
    hour.until(lambda: hour.metric("gaps_total", ILL) > gaps)
    all_is_well(hour)
    assert hour.card()["only_here_bytes"] == 0
    assert "AuditGap" in alerts(hour, before)
    assert any(one["kind"] == "gap" for one in hour.card()["recent"])
    assert {line["exporter"] for line in hour.said("gap")} >= {ILL}


def crowd(ballast: Path) -> bool:
    """Leave no room on the disk of the state."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return True
