{{- define "k8s-audit-otlp.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "k8s-audit-otlp.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "k8s-audit-otlp.labels" -}}
{{ include "k8s-audit-otlp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "k8s-audit-otlp.image" -}}
{{- if not .Values.image.repository }}
{{- fail (include "k8s-audit-otlp.no-image" .) }}
{{- end }}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
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

{{/* What must hold before anything is rendered. */}}
{{- define "k8s-audit-otlp.check" -}}
{{- if not .Values.clusterName }}
{{- fail "\n\nclusterName is required: it becomes k8s.cluster.name of every record; give --set clusterName=NAME\n" }}
{{- end }}
{{- if and (not .Values.exporters) (not .Values.collector.enabled) }}
{{- fail "\n\nexporters is required: where should the audit log go? Give e.g.\n  --set-json 'exporters={\"otlp_http/siem\":{\"endpoint\":\"https://siem.example:4318\"}}'\nor collector.enabled=true for a Collector in the same pod\n" }}
{{- end }}
{{- if and .Values.dacReadSearch (ne (include "k8s-audit-otlp.user" .) "0") }}
{{- fail "\n\ndacReadSearch: a capability reaches only a process of root; set runAs.user=0 beside it\n" }}
{{- end }}
{{- if .Values.collector.enabled }}
{{- if not .Values.collector.image }}
{{- fail "\n\ncollector.image is required with collector.enabled: give an OpenTelemetry Collector image that your nodes can pull\n" }}
{{- end }}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "\n\ncollector.enabled needs Kubernetes 1.29 (a sidecar that outlives the agent), this is %s; run the Collector elsewhere and name it in exporters\n" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if or (not .Values.collector.config.exporters) (not .Values.collector.config.service.pipelines.logs.exporters) }}
{{- fail "\n\ncollector.config needs exporters, and service.pipelines.logs.exporters that names them; values.yaml has an example\n" }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
One line at the limit exists as raw bytes, as a redacted copy, as the encoded record, as the request
and compressed: five times. 128 MiB are the interpreter, its libraries and the connections.
*/}}
{{- define "k8s-audit-otlp.memory" -}}
{{- add 128 .Values.memoryBudgetMiB (mul 5 .Values.log.maxLineMiB) -}}Mi
{{- end -}}

{{/* The agent's own configuration: the values' blocks, completed with what the chart knows. */}}
{{- define "k8s-audit-otlp.config" -}}
{{- $resource := dict "k8s.cluster.name" .Values.clusterName "k8s.node.name" "${env:NODE_NAME}" -}}
{{- $receiver := dict
      "include" (list (include "k8s-audit-otlp.log" .))
      "max_line_bytes" (printf "%dMiB" (int .Values.log.maxLineMiB))
      "resource" (merge $resource .Values.log.resource) -}}
{{- if .Values.log.attributes }}{{ $_ := set $receiver "attributes" .Values.log.attributes }}{{ end -}}
{{- $exporters := deepCopy .Values.exporters -}}
{{- if .Values.collector.enabled -}}
{{- $_ := set $exporters "otlp_http/collector" (dict "endpoint" "http://127.0.0.1:4318") -}}
{{- end -}}
{{- $own := dict
      "state_dir" "/var/lib/k8s-audit-otlp"
      "memory_budget" (printf "%dMiB" (int .Values.memoryBudgetMiB))
      "until" (ternary "caught_up" "signal" .Values.untilCaughtUp.enabled)
      "telemetry" (dict "metrics" (dict "address" (printf "%s:%d" .Values.listen.host (int .Values.listen.port)))) -}}
{{- $service := mergeOverwrite (deepCopy .Values.service) $own -}}
{{- $config := dict "receivers" (dict "k8s_audit" $receiver) "exporters" $exporters "service" $service -}}
{{- if .Values.extensions }}{{ $_ := set $config "extensions" .Values.extensions }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}
