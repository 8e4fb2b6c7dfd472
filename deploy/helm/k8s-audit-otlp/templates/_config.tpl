{{/* The agent's own configuration: the values' blocks, completed with what the chart knows. */}}
{{- define "k8s-audit-otlp.config" -}}
{{- $exporters := deepCopy .Values.exporters -}}
{{- if .Values.collector.enabled -}}
{{- $_ := set $exporters "otlp_http/collector" (dict "endpoint" "http://127.0.0.1:4318") -}}
{{- end -}}
{{- $own := dict
      "state_dir" "/var/lib/k8s-audit-otlp"
      "memory_budget" (printf "%dMiB" (int64 .Values.memoryBudgetMiB))
      "until" (ternary "caught_up" "signal" .Values.untilCaughtUp.enabled)
      "telemetry" (dict "metrics" (dict "address" (printf "%s:%d" .Values.listen.host (int64 .Values.listen.port)))) -}}
{{- $service := mergeOverwrite (deepCopy .Values.service) $own -}}
{{- $extensions := deepCopy .Values.extensions -}}
{{- $receivers := dict -}}
{{- if eq .Values.mode "node" -}}
{{- $_ := set $receivers "k8s_audit" (include "k8s-audit-otlp.log-receiver" . | fromYaml) -}}
{{- else if ne .Values.mode "webhook" -}}
{{- $_ := set $receivers (ternary "kafka" "aws_cloudwatch" (eq .Values.mode "kafka")) (include "k8s-audit-otlp.source-receiver" . | fromYaml) -}}
{{- else -}}
{{- $_ := set $receivers "k8s_audit_webhook" (include "k8s-audit-otlp.webhook-receiver" . | fromYaml) -}}
{{- if .Values.webhook.tokenSecret -}}
{{- $_ := set $extensions "bearertokenauth/webhook" (dict "token" "${env:K8S_AUDIT_OTLP_WEBHOOK_TOKEN}") -}}
{{- $_ := set $service "extensions" (append ($service.extensions | default list) "bearertokenauth/webhook") -}}
{{- end -}}
{{- end -}}
{{- $config := dict "receivers" $receivers "exporters" $exporters "service" $service -}}
{{- if $extensions }}{{ $_ := set $config "extensions" $extensions }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "k8s-audit-otlp.log-receiver" -}}
{{- $resource := dict "k8s.cluster.name" .Values.clusterName "k8s.node.name" "${env:NODE_NAME}" -}}
{{- $receiver := dict
      "include" (list (include "k8s-audit-otlp.log" .))
      "max_line_bytes" (printf "%dMiB" (int64 .Values.log.maxLineMiB))
      "resource" (merge $resource .Values.log.resource) -}}
{{- if .Values.log.attributes }}{{ $_ := set $receiver "attributes" .Values.log.attributes }}{{ end -}}
{{- toYaml $receiver -}}
{{- end -}}

{{- define "k8s-audit-otlp.webhook-receiver" -}}
{{- $webhook := .Values.webhook -}}
{{- $resource := dict "k8s.pod.name" "${env:POD_NAME}" -}}
{{- if not $webhook.clusters }}{{ $_ := set $resource "k8s.cluster.name" .Values.clusterName }}{{ end -}}
{{- $receiver := dict
      "endpoint" (printf "%s:%d" .Values.listen.host (int64 $webhook.port))
      "resource" (merge $resource .Values.log.resource)
      "max_request_body_size" (printf "%dMiB" (int64 .Values.log.maxLineMiB))
      "spool" (dict "max_bytes" (printf "%dMiB" (int64 $webhook.spoolMiB))) -}}
{{- if $webhook.tls.secretName -}}
{{- $tls := dict "cert_file" "/var/run/k8s-audit-otlp/tls/tls.crt" "key_file" "/var/run/k8s-audit-otlp/tls/tls.key" -}}
{{- if $webhook.tls.clientCA }}{{ $_ := set $tls "client_ca_file" "/var/run/k8s-audit-otlp/tls/ca.crt" }}{{ end -}}
{{- $_ := set $receiver "tls" $tls -}}
{{- end -}}
{{- if $webhook.tokenSecret }}{{ $_ := set $receiver "auth" (dict "authenticator" "bearertokenauth/webhook") }}{{ end -}}
{{- if $webhook.clientNames }}{{ $_ := set $receiver "client_names" $webhook.clientNames }}{{ end -}}
{{- if $webhook.clusters }}{{ $_ := set $receiver "clusters" $webhook.clusters }}{{ end -}}
{{- if .Values.log.attributes }}{{ $_ := set $receiver "attributes" .Values.log.attributes }}{{ end -}}
{{- toYaml $receiver -}}
{{- end -}}

{{/* The receiver of the values, completed; its own keys win. */}}
{{- define "k8s-audit-otlp.source-receiver" -}}
{{- $own := dict
      "resource" (merge (dict "k8s.cluster.name" .Values.clusterName) .Values.log.resource)
      "spool" (dict "max_bytes" (printf "%dMiB" (int64 .Values.source.spoolMiB))) -}}
{{- /* Started again under its name, a pod has its partitions at once. */}}
{{- if eq .Values.mode "kafka" }}{{ $_ := set $own "group_instance_id" "${env:POD_NAME}" }}{{ end -}}
{{- if .Values.log.attributes }}{{ $_ := set $own "attributes" .Values.log.attributes }}{{ end -}}
{{- merge (deepCopy .Values.source.receiver) $own | toYaml -}}
{{- end -}}
