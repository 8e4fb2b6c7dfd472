"""What the Kafka exporter and the Kafka receiver share, in the Collector's words.

Source: contrib's internal/kafka/configkafka, exporter/kafkaexporter, receiver/kafkareceiver.
"""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from k8s_audit_otlp.config.addresses import check_broker
from k8s_audit_otlp.config.blocks import ConfigBlock, Tls, key
from k8s_audit_otlp.config.types import SecretText, Texts, mistake


class Sasl(ConfigBlock):
    """Name and password for the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = key("PLAIN", "How to show it.")
    username: SecretText = Field(description="The name; Event Hubs: $$ConnectionString.")
    password: SecretText = Field(description="The password; Event Hubs: the connection string.")


class KafkaAuth(ConfigBlock):
    """How to show who asks."""

    sasl: Sasl | None = key(None, "Name and password.")


class Topic(ConfigBlock):
    """Where messages go and what they hold, as newer Collectors write it."""

    topic: str | None = key(None, "The topic.")
    encoding: Literal["otlp_proto", "otlp_json", "raw"] | None = key(None, "What a message holds.")


class KafkaBlock(ConfigBlock):
    """How the brokers are found and spoken to."""

    brokers: Texts = Field(description="host:port of some brokers.")
    client_id: str = key("k8s-audit-otlp", "Name to show to the brokers.")
    auth: KafkaAuth = key({}, "How to show who asks.")
    tls: Tls | None = key(None, "How the connection is secured; without it, in the clear.")

    @field_validator("brokers")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise mistake("no broker is named", "write brokers: [HOST:9092]")
        for one in value:
            check_broker(one)
        return value

    @model_validator(mode="after")
    def _tls_can_be_spoken(self) -> "KafkaBlock":
        if self.tls is None:
            return self
        if self.tls.server_name_override:
            raise mistake(
                "tls::server_name_override is not known to the client",
                "name the brokers as their certificates do, or send through a Collector",
            )
        if self.tls.min_version != "1.2":
            raise mistake(
                "tls::min_version cannot be told to the client",
                "remove the key: the newest version that both sides know is used",
            )
        if self.tls.include_system_ca_certs_pool and (self.tls.ca_file or self.tls.ca_pem):
            raise mistake(
                "tls::include_system_ca_certs_pool beside ca_file is not known to the client",
                "put all authorities into ca_file",
            )
        return self

    @property
    def secured(self) -> bool:
        return self.tls is not None and not self.tls.insecure

    def client_settings(self) -> dict[str, Any]:
        """Return how librdkafka is to speak to the brokers, with the secrets as of now.

        Raise OSError where the file of one cannot be read.
        """
        sasl, tls = self.auth.sasl, self.tls if self.secured else None
        protocol = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
        settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.brokers),
            "client.id": self.client_id,
            "security.protocol": protocol,
            "log.connection.close": False,  # brokers close what is idle
        }
        if sasl is not None:
            settings["sasl.mechanism"] = sasl.mechanism
            settings["sasl.username"] = sasl.username.resolve()
            settings["sasl.password"] = sasl.password.resolve()
        if tls is not None:
            files = {
                "ssl.ca.location": tls.ca_file,
                "ssl.certificate.location": tls.cert_file,
                "ssl.key.location": tls.key_file,
            }
            texts = {
                "ssl.ca.pem": tls.ca_pem,
                "ssl.certificate.pem": tls.cert_pem,
                "ssl.key.pem": tls.key_pem,
            }
            settings |= {name: file for name, file in files.items() if file}
            settings |= {name: text.resolve() for name, text in texts.items() if text}
            settings["enable.ssl.certificate.verification"] = not tls.insecure_skip_verify
        return settings
