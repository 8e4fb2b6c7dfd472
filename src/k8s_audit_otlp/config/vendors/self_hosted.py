"""Back ends that one runs oneself, a row each. A table; no I/O.

What a row leaves out is not known to be limited. Sources name a repository and path, or a page of
the vendor's documentation; `measured` means that the vendor's own code was run.
"""

from typing import Final

from k8s_audit_otlp.config.vendors.preset import Header, Vendor

_COLLECTOR = "github.com/open-telemetry/opentelemetry-collector"
LOKI_LIMITS = {
    # 128 entries of structured metadata, the resource's among them, and 64 KB in sum
    "max_attributes": 100,
    "max_attribute_bytes": "2KB",
    "max_attributes_bytes": "56KiB",  # 8 KiB for the resource and the record's other fields
    "max_list_items": 32,
    "reserved_names": ["level", "detected_level"],
}
LOKI_NOTICES = {"service.namespace": "k8s-audit-notices"}  # an index label: its own stream
LOKI_QUIRKS = (
    "k8s.namespace.name and the like are index labels: keep those of audited objects out of them",
    "structured metadata of a line is 64 KB at most in sum, so the longest attributes are cut",
    "a stream is ordered by time: what is an hour behind its newest line is refused",
    "so requests go one by one, and notices about the present have a stream of their own",
    "a batch above the burst size (6 MB by default) is answered with 429 for ever",
    "260 means that ingestion is blocked and the data was dropped",
)

SELF_HOSTED: Final = (
    Vendor(
        name="otel-collector",
        title="OpenTelemetry Collector",
        endpoint="http://otel-collector:4318",
        grpc="otel-collector:4317",
        compressions=("gzip", "zstd", "none"),
        json="yes",
        success="200",
        limits={"max_request_bytes": "4MB"},
        quirks=(
            "acknowledges what is in memory without a persistent queue or wait_for_result",
            "HTTP takes 20 MiB by default, gRPC 4 MiB",
        ),
        sources={
            "endpoint": f"{_COLLECTOR}/receiver/otlpreceiver",
            "compression": f"{_COLLECTOR}/config/confighttp/compression.go",
            "limits": f"{_COLLECTOR}/config/confighttp/server.go, grpc-go's default",
            "codes": f"{_COLLECTOR}/receiver/otlpreceiver/internal/errors",
        },
    ),
    Vendor(
        name="guance",
        title="Guance / TrueWatch through DataKit",
        endpoint="http://datakit-service.datakit:9529/otel",
        hosts=r"datakit(-service)?(\..*)?",
        path=r"/otel/v1/logs",
        grpc="datakit-service.datakit:4317",
        json="unsafe",
        success="200 without a body, which is no receipt",
        max_record_bytes="450KiB",
        limits={
            "max_attributes": 1024,
            "max_attribute_name_bytes": 256,
            "max_attribute_bytes": "32KiB",
            "lists": "json",
            "names": "flat",
            "reserved_names": [
                "message",
                "service",
                "host",
                "trace_id",
                "span_id",
                "source",
                "date",
            ],
        },
        receiver={"attributes": {"atype": "kube-audit-log"}},
        resource_wins=True,
        quirks=(
            "DataKit's OTLP input is off by default, and its gRPC binds to 127.0.0.1",
            "log.source of the resource is the source; host.name is the host",
            "a resource attribute hides the record's attribute of the same name",
            "numbers arrive as text: cast responseCode in a Pipeline for range queries",
            "an event more than 2 h from now gets its arrival time, the real one in __orig_time",
            "after its 200 DataKit keeps data for 12 h and 2 GB at most, and loses what is over",
            "a record with an empty body is dropped, and an empty gRPC request is INTERNAL",
            "zstd and application/protobuf are answered with 400",
        ),
        sources={
            "endpoint": "github.com/GuanceCloud/datakit internal/plugins/inputs/opentelemetry",
            "compression": "measured: DataKit 1.84.1",
            "limits": "measured: DataKit 1.84.1, metric.go, point/option.go",
            "codes": "measured: DataKit 1.84.1",
            "fields": "github.com/GuanceCloud/guance-docs kubernetes_audit.md",
        },
    ),
    Vendor(
        name="loki",
        title="Grafana Loki",
        endpoint="http://loki:3100/otlp",
        hosts=r"loki([.-].*)?",
        path=r"/otlp/v1/logs",
        headers=(Header("X-Scope-OrgID", "<tenant>", required=False),),
        compressions=("gzip", "zstd", "none"),
        json="yes",
        success="204",
        profile="semconv",
        max_record_bytes="250KB",
        max_age="168h",
        limits=LOKI_LIMITS,
        num_consumers=1,
        notice_resource=LOKI_NOTICES,
        quirks=LOKI_QUIRKS,
        sources={
            "endpoint": "github.com/grafana/loki pkg/loki/modules.go",
            "compression": "github.com/grafana/loki pkg/loghttp/push/otlp.go",
            "metadata": "github.com/grafana/loki pkg/util/entry_size.go (names and values)",
            "limits": "github.com/grafana/loki pkg/validation/limits.go; measured: Loki 3.7.8",
            "order": "measured: Loki 3.7.8 (entry too far behind)",
            "codes": "github.com/grafana/loki docs/sources/shared/otel.md",
        },
    ),
    Vendor(
        name="openobserve",
        title="OpenObserve",
        endpoint="https://<host>/api/<organization>",
        hosts=r"api\.openobserve\.ai|openobserve([.-].*)?",
        path=r"/api/[^/]+/v1/logs",
        grpc="<host>:5081",
        headers=(
            Header("Authorization", "Basic ${env:OPENOBSERVE_BASIC}"),
            Header("stream-name", "k8s_audit", required=False),
        ),
        compressions=("gzip", "zstd", "none"),
        json="yes",
        success="200; what is too old is a partial success",
        max_age="5h",
        limits={
            "max_request_bytes": "32MB",
            "max_attributes": 1000,
            "reserved_names": ["severity", "body", "_timestamp"],
        },
        quirks=(
            "events older than 5 h (ZO_INGEST_ALLOWED_UPTO) are rejected",
            "gRPC wants the metadata organization and stream-name",
            "record attributes overwrite the resource's of the same name",
        ),
        sources={
            "endpoint": "github.com/openobserve/openobserve ingest.rs, config.rs",
            "limits": "github.com/openobserve/openobserve config.rs",
            "names": "github.com/openobserve/openobserve otlp.rs",
        },
    ),
    Vendor(
        name="victorialogs",
        title="VictoriaLogs",
        endpoint="http://victorialogs:9428/insert/opentelemetry",
        hosts=r"(victoria-?logs|vlogs|vlinsert|vlsingle)([.-].*)?",
        path=r"/insert/opentelemetry/v1/logs",
        headers=(Header("VL-Stream-Fields", "service.name,k8s.cluster.name,k8s.node.name", False),),
        json="no",
        success="200, also for what it drops",
        max_record_bytes="2000KB",
        max_age="168h",
        limits={
            "max_request_bytes": "64MiB",
            "max_attributes": 1000,
            "max_attribute_name_bytes": 128,
        },
        quirks=(
            "every resource attribute is a stream field unless VL-Stream-Fields says which",
            "it answers 200 and drops a record over 2 MiB or with a name of over 128 bytes",
            "and one that is older than -retentionPeriod (7 days by default) or 2 days ahead",
            "with a longer -retentionPeriod write start_at and limits::max_age as long as it",
        ),
        sources={
            "endpoint": "github.com/VictoriaMetrics/VictoriaLogs app/vlinsert/opentelemetry",
            "limits": "github.com/VictoriaMetrics/VictoriaLogs v1.52.1 lib/logstorage/log_rows.go,"
            " app/vlstorage/main.go; measured: 1.52.1",
        },
    ),
    Vendor(
        name="clickstack",
        title="ClickStack / HyperDX",
        endpoint="http://<host>:4318",
        hosts=r"(hyperdx|clickstack)([.-].*)?",
        grpc="<host>:4317",
        headers=(Header("authorization", "${env:CLICKSTACK_INGESTION_KEY}"),),
        json="yes",
        success="200",
        quirks=(
            "the key stands alone, without Bearer",
            "JSON of the body is merged into LogAttributes",
        ),
        sources={
            "endpoint": "github.com/hyperdxio/hyperdx docker/otel-collector",
            "names": "github.com/hyperdxio/hyperdx docker/otel-collector/config.yaml",
        },
    ),
    Vendor(
        name="opensearch-data-prepper",
        title="OpenSearch Data Prepper",
        endpoint="http://data-prepper:21892",
        hosts=r"data-prepper([.-].*)?",
        grpc="data-prepper:21892",
        compressions=("none", "gzip"),
        success="200",
        retry_codes=(507,),
        limits={"max_request_bytes": "10MB"},
        quirks=(
            "HTTP only with http_path: /v1/logs or unframed_requests in otel_logs_source",
            "HTTP compression is off in the source by default (compression: gzip there)",
            "507 is a full buffer, a timeout or a request that is too large alike",
            "gRPC says RESOURCE_EXHAUSTED with RetryInfo even for a request that is too large",
        ),
        sources={
            "endpoint": "github.com/opensearch-project/data-prepper otel-logs-source README",
            "limits": "github.com/opensearch-project/data-prepper OTelLogsSourceConfig.java",
            "codes": "github.com/opensearch-project/data-prepper HttpExceptionHandler.java",
        },
    ),
)
