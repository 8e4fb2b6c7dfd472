"""A webhook that asks for a bearer token."""

from pathlib import Path

import pytest

from tests.unit.receiver.sources.conftest import Serve
from tests.unit.receiver.sources.test_webhook import body


def test_a_token_is_asked_for(serve: Serve) -> None:
    """Without it nothing of the request is even read."""
    served = serve(token=lambda: "made-up\n")
    for shown in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic bWFkZS11cA=="}):
        assert served.post(body(1), headers=shown)[0] == 401
    assert served.held() == []
    assert served.post(body(1), headers={"Authorization": "Bearer made-up"})[0] == 200


def test_a_token_that_cannot_be_read_is_told(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret that is mounted anew comes back; the apiserver repeats its request until then."""
    served = serve(token=(tmp_path / "token").read_text)
    status, why, headers = served.post(body(1), headers={"Authorization": "Bearer made-up"})
    assert (status, why) == (503, "the bearer token cannot be read: No such file or directory\n")
    assert headers["retry-after"] == "5"
    assert served.server.answers["503"] == 1
    (tmp_path / "token").write_text("made-up")
    assert served.post(body(1), headers={"Authorization": "Bearer made-up"})[0] == 200
    assert served.post(body(1), headers={"Authorization": "Bearer old"})[0] == 401
    assert "refused with 401: the bearer token is missing or wrong" in caplog.text
