{{/* What must hold before anything is rendered, each with the way out. */}}
{{- define "k8s-audit-otlp.check" -}}
{{- if not .Values.image.repository }}
{{- fail (include "k8s-audit-otlp.no-image" .) }}
{{- end }}
{{- if and (not .Values.clusterName) (or (ne .Values.mode "webhook") (not .Values.webhook.clusters)) }}
{{- fail "\n\nclusterName is required: it becomes k8s.cluster.name of every record; give --set clusterName=NAME\n" }}
{{- end }}
{{- if and (not .Values.exporters) (not .Values.collector.enabled) }}
{{- fail "\n\nexporters is required: where should the audit log go? Give e.g.\n  --set-json 'exporters={\"otlp_http/siem\":{\"endpoint\":\"https://siem.example:4318\"}}'\nor collector.enabled=true for a Collector in the same pod\n" }}
{{- end }}
{{- if and .Values.dacReadSearch (ne (include "k8s-audit-otlp.user" .) "0") }}
{{- fail "\n\ndacReadSearch: a capability reaches only a process of root; set runAs.user=0 beside it\n" }}
{{- end }}
{{- include "k8s-audit-otlp.check-memory" . }}
{{- if ne .Values.mode "node" }}{{ include "k8s-audit-otlp.check-spool" . }}{{ end }}
{{- if eq .Values.mode "webhook" }}{{ include "k8s-audit-otlp.check-webhook" . }}{{ end }}
{{- if has .Values.mode (list "kafka" "cloudwatch") }}{{ include "k8s-audit-otlp.check-source" . }}{{ end }}
{{- if .Values.collector.enabled }}{{ include "k8s-audit-otlp.check-collector" . }}{{ end }}
{{- end -}}

{{- define "k8s-audit-otlp.no-image" }}

image.repository is required: no image is published, so build one from the repository's root
  docker build -f deploy/Dockerfile -t REGISTRY/k8s-audit-otlp:{{ .Chart.AppVersion }} .
and bring it to the control-plane nodes, by one of
  docker push REGISTRY/k8s-audit-otlp:{{ .Chart.AppVersion }}
  docker save REGISTRY/k8s-audit-otlp:{{ .Chart.AppVersion }} | ssh NODE ctr -n k8s.io images import -
  kind load docker-image REGISTRY/k8s-audit-otlp:{{ .Chart.AppVersion }}
then give --set image.repository=REGISTRY/k8s-audit-otlp
{{ end -}}

{{- define "k8s-audit-otlp.check-memory" -}}
{{- $limit := .Values.resources.limits.memory | default (include "k8s-audit-otlp.memory" .) }}
{{- with .Values.resources.requests.memory }}
{{- if gt (include "k8s-audit-otlp.bytes" . | int64) (include "k8s-audit-otlp.bytes" $limit | int64) }}
{{- fail (printf "\n\nresources.requests.memory (%v) is above the limit (%v): lower the request, or set resources.limits.memory\n" . $limit) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.check-webhook" -}}
{{- $webhook := .Values.webhook }}
{{- if not (or $webhook.tls.secretName $webhook.tls.insecure) }}
{{- fail "\n\nwebhook.tls.secretName is required: a Secret with tls.crt and tls.key of the server (kubectl create secret tls, or cert-manager); webhook.tls.insecure=true does without\n" }}
{{- end }}
{{- $named := $webhook.clientNames }}
{{- range $webhook.clusters }}{{ $named = concat $named (default list .client_names) }}{{ end }}
{{- if and $named (not (and $webhook.tls.secretName $webhook.tls.clientCA)) }}
{{- fail "\n\nnames of client certificates need webhook.tls.clientCA=true and ca.crt in the Secret: nobody else has checked them\n" }}
{{- end }}
{{- if eq (int $webhook.port) (int .Values.listen.port) }}
{{- fail "\n\nwebhook.port and listen.port are the same: change one\n" }}
{{- end }}
{{- end -}}

{{/* Of every mode that puts what it takes on a volume. */}}
{{- define "k8s-audit-otlp.check-spool" -}}
{{- $from := include "k8s-audit-otlp.spooling" . | fromYaml }}
{{- $name := ternary "webhook" "source" (eq .Values.mode "webhook") }}
{{- $spools := mul (max 1 (len ($from.clusters | default dict))) (int64 $from.spoolMiB) 1048576 }}
{{- if gt $spools (include "k8s-audit-otlp.bytes" $from.persistence.size | int64) }}
{{- fail (printf "\n\n%s.persistence.size (%v) is smaller than the spools (%d MiB for each cluster): raise it, or lower %s.spoolMiB\n" $name $from.persistence.size (int64 $from.spoolMiB) $name) }}
{{- end }}
{{- if .Values.untilCaughtUp.enabled }}
{{- fail "\n\nuntilCaughtUp is for mode=node: a volume outlives the pod, so nothing must be delivered before it goes\n" }}
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.check-source" -}}
{{- $receiver := .Values.source.receiver }}
{{- if and (eq .Values.mode "kafka") (not (and $receiver.brokers $receiver.topics)) }}
{{- fail "\n\nsource.receiver needs brokers and topics with mode=kafka; give e.g.\n  --set-json 'source.receiver={\"brokers\":[\"kafka.example:9093\"],\"topics\":[\"audit\"]}'\n" }}
{{- end }}
{{- if and (eq .Values.mode "cloudwatch") (not $receiver.log_group) }}
{{- fail "\n\nsource.receiver.log_group is required with mode=cloudwatch; of EKS it is /aws/eks/CLUSTER/cluster\n" }}
{{- end }}
{{- if and (eq .Values.mode "cloudwatch") (gt (int .Values.source.replicas) 1) }}
{{- fail "\n\nsource.replicas is above 1 with mode=cloudwatch: each pod would fetch and send everything; leave it at 1\n" }}
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.check-collector" -}}
{{- if not .Values.collector.image }}
{{- fail "\n\ncollector.image is required with collector.enabled: give an OpenTelemetry Collector image that your nodes can pull\n" }}
{{- end }}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "\n\ncollector.enabled needs Kubernetes 1.29 (a sidecar that outlives the agent), this is %s; run the Collector elsewhere and name it in exporters\n" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if or (not .Values.collector.config.exporters) (not .Values.collector.config.service.pipelines.logs.exporters) }}
{{- fail "\n\ncollector.config needs exporters, and service.pipelines.logs.exporters that names them; values.yaml has an example\n" }}
{{- end }}
{{- end -}}
