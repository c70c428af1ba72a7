{{/* The namespace of everything. */}}
{{- define "kube-events.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end }}

{{- define "kube-events.serviceAccountName" -}}
{{- .Values.operator.serviceAccount.name | default "kube-events-operator" -}}
{{- end }}

{{/*
The objects of some kinds out of the bundle that the program prints, as a list in JSON. They are not written down here a
second time: "kinds" chooses, and the release's namespace and service account take the place of the bundle's.
*/}}
{{- define "kube-events.bundled" -}}
{{- $file := ternary "files/namespaced.yaml" "files/bundle.yaml" .root.Values.namespaced -}}
{{- $namespace := include "kube-events.namespace" .root -}}
{{- $kind := printf "(?m)^kind: (%s)$" (join "|" .kinds) -}}
{{- $objects := list -}}
{{- range splitList "\n---\n" (.root.Files.Get $file) -}}
  {{- if regexMatch $kind . -}}
    {{- $object := fromYaml (replace "kubesphere-logging-system" $namespace .) -}}
    {{- range $object.subjects -}}
      {{- $_ := set . "name" (include "kube-events.serviceAccountName" $.root) -}}
    {{- end -}}
    {{- $objects = append $objects $object -}}
  {{- end -}}
{{- end -}}
{{- if not $objects -}}
  {{- fail (printf "%s has no %s: it has to hold what it links to in the repository" $file (join ", " .kinds)) -}}
{{- end -}}
{{- toJson $objects -}}
{{- end }}

{{/* The image of a "program". One of the Go project, from old values, gives way to ours: it understands no argument. */}}
{{- define "kube-events.image" -}}
{{- $image := (get .root.Values .program).image -}}
{{- if include "kube-events.isFormerImage" $image.repository -}}
  {{- $image = dict "registry" $image.registry "repository" (printf "kube-events/%s" .program) -}}
{{- end -}}
{{- with $image.registry }}{{ . }}/{{ end -}}
{{- $image.repository }}:{{ $image.tag | default (printf "v%s" .root.Chart.AppVersion) -}}
{{- end }}

{{/* The operator's arguments, as a list in JSON. */}}
{{- define "kube-events.arguments" -}}
{{- $arguments := list -}}
{{- if .Values.namespaced -}}
  {{- $arguments = append $arguments "--namespace=$(POD_NAMESPACE)" -}}
{{- end -}}
{{- range $program := list "exporter" "ruler" -}}
  {{- $image := include "kube-events.image" (dict "root" $ "program" $program) -}}
  {{- if ne $image (printf "kube-events/%s:v%s" $program $.Chart.AppVersion) -}}
    {{- $arguments = append $arguments (printf "--%s-image=%s" $program $image) -}}
  {{- end -}}
{{- end -}}
{{- range .Values.operator.args -}}
  {{- $arguments = append $arguments . -}}
{{- end -}}
{{- toJson $arguments -}}
{{- end }}

{{/* The spec of an Exporter or a Ruler with these "sinks", from the values of its "program", in YAML. */}}
{{- define "kube-events.spec" -}}
{{- $values := get .root.Values .program -}}
{{- $spec := dict "sinks" .sinks -}}
{{- $fields := list "affinity" "nodeSelector" "resources" "tolerations" "volumeMounts" "volumes" -}}
{{- range $field := concat $fields (list "ruleNamespaceSelector" "ruleSelector") -}}
  {{- with get $values $field }}{{ $_ := set $spec $field . }}{{ end -}}
{{- end -}}
{{- if hasKey $values "replicas" }}{{ $_ := set $spec "replicas" $values.replicas }}{{ end -}}
{{- with $values.image.pullPolicy }}{{ $_ := set $spec "imagePullPolicy" . }}{{ end -}}
{{- with .root.Values.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- if .root.Values.monitoring.enabled -}}
  {{- $monitoring := dict "enabled" true -}}
  {{- with .root.Values.monitoring.labels }}{{ $_ := set $monitoring "labels" . }}{{ end -}}
  {{- $_ := set $spec "monitoring" $monitoring -}}
{{- end -}}
{{- mustMergeOverwrite $spec (deepCopy $values.spec) | toYaml -}}
{{- end }}
