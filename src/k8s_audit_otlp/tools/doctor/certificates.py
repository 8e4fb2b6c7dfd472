"""Tells how long certificates last, of files that TLS has loaded already."""

import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from k8s_audit_otlp.tools.doctor.findings import CheckResult, fail, ok, warn
from k8s_audit_otlp.tools.text import counted

EXPIRES_SOON_S = 21 * 86_400.0  # three weeks: the usual time to get a new certificate in
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
# RFC 5280, 4.1.2.5: a sequence of two times, each with two digits of the year or four
_VALIDITY = re.compile(
    rb"\x30[\x1e\x20\x22](?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
)


class Certificates(NamedTuple):
    """The text of a PEM file, and what it is for people; `any_will_do`: a bundle of authorities."""

    what: str
    pem: str
    any_will_do: bool = False


def ends_of(pem: str) -> list[float]:
    """Return when the certificates in *pem* end, in seconds since the epoch."""
    found = (_VALIDITY.search(ssl.PEM_cert_to_DER_cert(one)) for one in _PEM.findall(pem))
    return [_seconds(one) for one in found if one]


def _seconds(validity: re.Match[bytes]) -> float:
    short, text = validity[1], (validity[1] or validity[2]).decode()
    if short:
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def lasting(good: str, certificates: Iterable[Certificates], now: float) -> CheckResult:
    """Say *good*, and until when; or which of *certificates* has ended, or will soon.

    Of a chain the first counts, which is shown; of a bundle the one that lasts longest.
    """
    ends = [
        (max(found) if one.any_will_do else found[0], one.what)
        for one in certificates
        if (found := ends_of(one.pem))
    ]
    if not ends:
        return ok(good)
    end, what = min(ends)
    day = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
    if end <= now:
        return fail(f"{what} expired on {day}", "renew it: nothing arrives with it")
    if end - now < EXPIRES_SOON_S:
        days = int((end - now) / 86_400)
        hint = "renew it: nothing arrives afterwards"
        return warn(f"{what} expires in {counted(days, 'day')}, on {day}", hint)
    return ok(f"{good}; {what} lasts until {day}")
