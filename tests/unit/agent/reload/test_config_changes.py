"""What is said of the difference between two configurations."""

from k8s_audit_otlp.agent.config_changes import changes
from k8s_audit_otlp.config.load import load_text


def test_an_exporter_with_another_name_is_told_with_the_way_to_keep_its_position() -> None:
    """Renamed by hand it would begin anew."""
    text = "receivers: {{k8s_audit: {{include: [/a.log]}}}}\nexporters: {{otlp_http/{}: {{endpoint: 'http://h'}}}}"
    old, new = (load_text(text.format(name), "test", {}).config for name in ("a", "b"))
    (said,) = changes(old, new)
    assert "state rename otlp_http/a otlp_http/b" in said
    assert changes(old, old) == []


def test_which_log_is_read_from_now_on_is_told_and_what_another_address_means() -> None:
    """A hub that is added gets no history; the address itself is for no other back end to know."""
    text = "receivers: {{k8s_audit: {{include: [{}]}}}}\nexporters: {{otlp_http: {{endpoint: 'http://{}'}}}}"
    logs, hosts = ("/a.log, /b.log", "/b.log, /c.log"), ("one", "two")
    old, new = (
        load_text(text.format(*of), "test", {}).config for of in zip(logs, hosts, strict=True)
    )
    stays = "positions stay, so what another back end acknowledged is not sent again"
    assert changes(old, new) == [
        "receivers::k8s_audit::include: /c.log is added",
        "receivers::k8s_audit::include: /a.log is removed",
        f"exporters::otlp_http::endpoint is changed; {stays}",
    ]
