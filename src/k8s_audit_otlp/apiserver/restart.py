"""Waits for a kube-apiserver to come back after its manifest was changed. Asks, changes nothing."""

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from typing import Final, Literal

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.transport.connection import ConnectError, Connections, ask
from k8s_audit_otlp.transport.tls import make_context
from k8s_audit_otlp.transport.url import Url

Verdict = Literal["back", "down", "unchanged"]

_EVERY_S: Final = 1.0
_IN_A_ROW: Final = 3  # good answers: one that dies at once was never back
_TIMEOUT_S: Final = 2.0
# It serves; who asks without a name is just not told more.
_SERVING: Final = frozenset({HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def serves(address: tuple[str, int]) -> bool:
    """Say whether an apiserver answers there; its certificate is not looked at: nothing is told."""
    url = Url("https", *address, "/readyz", "")
    connections = Connections(url, context=lambda: make_context(Tls(insecure_skip_verify=True)))
    try:
        with ask(connections, "GET", url.target, {}, _TIMEOUT_S) as answer:
            return answer.status in _SERVING
    except (ConnectError, OSError, HTTPException):
        return False


def renewed(running: Sequence[Mapping[str, str]], wanted: Mapping[str, str]) -> bool | None:
    """Say whether an apiserver runs with the *wanted* flags, None where no process can be seen."""
    if not running:
        return None
    return any(wanted.items() <= flags.items() for flags in running)


def wait(
    is_serving: Callable[[], bool],
    is_renewed: Callable[[], bool | None],
    timeout_s: float,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Wait until the apiserver serves again as the new manifest says.

    Where its process cannot be seen, it must have been away meanwhile: else it is `unchanged`.
    """
    end, was_away, good, serving = monotonic() + timeout_s, False, 0, False
    while monotonic() < end:
        serving, new = is_serving(), is_renewed()
        was_away = was_away or not serving
        good = good + 1 if serving and (new or (new is None and was_away)) else 0
        if good >= _IN_A_ROW:
            return "back"
        sleep(_EVERY_S)
    return "unchanged" if serving else "down"
