"""What Google's codes are in HTTP."""

from k8s_audit_otlp.event import gke

# google/rpc/code.proto: each code with the "HTTP Mapping" of its comment
CODES = {0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409}
CODES |= {11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401}


def test_every_code_has_its_own_status() -> None:
    """A wrong one would make a refusal a fault of the server, or the other way round."""
    assert gke._HTTP == CODES
