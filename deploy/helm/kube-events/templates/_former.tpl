{{/* What remains of the chart of the Go project, so that its releases and values can be upgraded. */}}

{{/* The beginning of the names of its objects, up to 26 characters. */}}
{{- define "kube-events.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if or (contains $name .Release.Name) (contains "event" .Release.Name) -}}
  {{- $full = .Release.Name -}}
{{- end -}}
{{- .Values.fullnameOverride | default $full | trunc 26 | trimSuffix "-" -}}
{{- end }}

{{/* Whether a repository holds images of the Go project, as the operator judges it; mirrors included. */}}
{{- define "kube-events.isFormerImage" -}}
{{- if regexMatch "(^|/)(kubesphere|kubesphereio|kubespheredev)/kube-events-[^/]*$" . }}yes{{ end -}}
{{- end }}

{{/* Values that are still taken and mean nothing any more, each on a line with the reason, if they were given. */}}
{{- define "kube-events.unused" -}}
{{- $operator := .Values.operator -}}
{{- if $operator.configReloader }}
  operator.configReloader: a mounted ConfigMap is noticed without a reloader
{{- end }}
{{- if $operator.cleanupAllCustomResources }}
  operator.cleanupAllCustomResources: delete Exporters, Rulers and Rules before you uninstall
{{- end }}
{{- if $operator.kubectlImage }}
  operator.kubectlImage: nothing is cleaned up by a Job
{{- end }}
{{- if .Values.rule.overrideDefaults }}
  rule.overrideDefaults: the default rules are part of the release and upgraded with it
{{- end }}
{{- if .Values.timezone }}
  timezone: all times are in UTC
{{- end }}
{{- range $program := list "operator" "exporter" "ruler" }}
{{- $repository := (get $.Values $program).image.repository }}
{{- if include "kube-events.isFormerImage" $repository }}
  {{ $program }}.image: {{ $repository }} is the Go project's; {{ include "kube-events.image" (dict "root" $ "program" $program) }} runs
{{- end }}
{{- end }}
{{- end }}
