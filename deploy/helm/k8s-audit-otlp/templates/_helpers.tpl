{{/* A controller's name is part of labels of its pods: 52 characters at most. */}}
{{- define "k8s-audit-otlp.name" -}}
{{- $own := .Values.nameOverride | default .Chart.Name -}}
{{- $name := contains $own .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $own) -}}
{{- .Values.fullnameOverride | default $name | trunc 52 | trimSuffix "-" | trimSuffix "." -}}
{{- end -}}

{{- define "k8s-audit-otlp.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "k8s-audit-otlp.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* A scalar as text; helm reads every number as a float and would write 1e+06. */}}
{{- define "k8s-audit-otlp.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* A map with texts as values, as labels, annotations and the environment must have them. */}}
{{- define "k8s-audit-otlp.texts" -}}
{{- $texts := dict -}}
{{- range $name, $value := . }}{{ $_ := set $texts $name (include "k8s-audit-otlp.text" $value) }}{{ end -}}
{{- toYaml $texts -}}
{{- end -}}

{{/* Immutable in a controller: no value but `nameOverride` may change it. */}}
{{- define "k8s-audit-otlp.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels of an object; the chart's own win. Takes the root, or (dict "root" $ "more" MAP). */}}
{{- define "k8s-audit-otlp.labels" -}}
{{- $root := .root | default . -}}
{{- $own := dict
      "app.kubernetes.io/version" $root.Chart.AppVersion
      "app.kubernetes.io/managed-by" $root.Release.Service
      "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $selector := include "k8s-audit-otlp.selector" $root | fromYaml -}}
{{- include "k8s-audit-otlp.texts" (merge (dict) $selector $own (.more | default dict) $root.Values.commonLabels) -}}
{{- end -}}

{{/* Labels of a pod that no controller may adopt and no Service may find: (dict "root" $ "as" NAME). */}}
{{- define "k8s-audit-otlp.labelsOf" -}}
{{- $labels := include "k8s-audit-otlp.labels" (dict "root" .root "more" .root.Values.podLabels) | fromYaml -}}
{{- $name := printf "%s-%s" (.root.Values.nameOverride | default .root.Chart.Name | trunc 50 | trimSuffix "-") .as -}}
{{- set $labels "app.kubernetes.io/name" $name | toYaml -}}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "suffix" "-metrics" "labels" MAP "annotations" MAP). */}}
{{- define "k8s-audit-otlp.metadata" -}}
name: {{ printf "%s%s" (include "k8s-audit-otlp.name" .root) (.suffix | default "") | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels: {{- include "k8s-audit-otlp.labels" (dict "root" .root "more" (.labels | default dict)) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations: {{- include "k8s-audit-otlp.texts" . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Bytes of a quantity, 512Mi or 1.5G; the schema has checked its form. */}}
{{- define "k8s-audit-otlp.bytes" -}}
{{- $quantity := include "k8s-audit-otlp.text" . -}}
{{- $unit := regexFind "[A-Za-z]*$" $quantity -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (trimSuffix $unit $quantity | float64) (index $units $unit | float64) | int64 -}}
{{- end -}}

{{/*
One line at the limit exists as raw bytes, as a redacted copy, as the encoded record, as the request
and compressed: five times. 128 MiB are the interpreter, its libraries and the connections; a
webhook holds bodies of requests besides, other sources what they have fetched: 128 MiB.
*/}}
{{- define "k8s-audit-otlp.memory" -}}
{{- $fixed := ternary 256 128 (ne .Values.mode "node") -}}
{{- add $fixed .Values.memoryBudgetMiB (mul 5 .Values.log.maxLineMiB) -}}Mi
{{- end -}}

{{/* What is taken or fetched lies in a spool on a volume: where the values of that are. */}}
{{- define "k8s-audit-otlp.spooling" -}}
{{- ternary .Values.webhook .Values.source (eq .Values.mode "webhook") | toYaml -}}
{{- end -}}
