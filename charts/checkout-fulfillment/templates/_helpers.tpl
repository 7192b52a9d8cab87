{{/* The chart's name, as a label. */}}
{{- define "checkout-fulfillment.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The start of every object's name: short enough for what is added to it. */}}
{{- define "checkout-fulfillment.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels of an object. Takes (list $ component), and as a third the object's own labels; an empty component is none.
One key may be set twice: what selects pods wins, then the object's own, then the chart's, by which doctor finds it; then
commonLabels. */}}
{{- define "checkout-fulfillment.labels" -}}
{{- $root := index . 0 -}}
{{- $own := gt (len .) 2 | ternary (last .) dict | default dict -}}
{{- $selecting := include "checkout-fulfillment.selectorLabels" . | fromYaml -}}
{{- $managed := dict "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $standard := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/part-of" "checkout-fulfillment" -}}
{{- toYaml (merge (dict) $selecting $managed $own $standard $root.Values.commonLabels) -}}
{{- end -}}

{{/* The labels that select a workload's pods. They never change, so they hold no version. Takes (list $ component). */}}
{{- define "checkout-fulfillment.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "checkout-fulfillment.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* A workload's ServiceAccount. Takes (list $ component). */}}
{{- define "checkout-fulfillment.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "checkout-fulfillment.fullname" $root) (index . 1)) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{/* The name of what belongs to the recovery: a CronJob's is no longer than 52, for the names of its Jobs. */}}
{{- define "checkout-fulfillment.recoveryName" -}}
{{- include "checkout-fulfillment.fullname" . | trunc 43 | trimSuffix "-" -}}-recovery
{{- end -}}

{{/* The image's reference. */}}
{{- define "checkout-fulfillment.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end -}}
{{- end -}}

{{/* The host by which a workload is reached from outside: … where a Gateway or a load balancer has it, and nothing where none
leads to it. Takes (list $ component). */}}
{{- define "checkout-fulfillment.publicHost" -}}
{{- $workload := index (index . 0).Values (index . 1) -}}
{{- if $workload.ingress.enabled -}}
{{- first $workload.ingress.hosts -}}
{{- else if $workload.httpRoute.enabled -}}
{{- $workload.httpRoute.hostnames | default (list "…") | first -}}
{{- else if ne $workload.service.type "ClusterIP" -}}
…
{{- end -}}
{{- end -}}

{{/* What to do where a workload's own Service is the way in, which brings no TLS; nothing elsewhere. Takes (list $ component). */}}
{{- define "checkout-fulfillment.endTLS" -}}
{{- $component := index . 1 -}}
{{- with index (index . 0).Values $component -}}
{{- if not (or .ingress.enabled .httpRoute.enabled (eq .service.type "ClusterIP")) -}}
The pods speak HTTP: let the load balancer end TLS, by its provider's annotations in {{ $component }}.service.annotations and {{ $component }}.service.port 443.
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The port that a URL names, or its scheme's. */}}
{{- define "checkout-fulfillment.portOfUrl" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (eq $url.scheme "http" | ternary "80" "443") $port -}}
{{- end -}}

{{/* What the test pod may do lasts as long as the test. */}}
{{- define "checkout-fulfillment.testRights" -}}
helm.sh/hook: test
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}

{{/* Whether an order may go to a backend: "true", or nothing. Takes (list $ backend). */}}
{{- define "checkout-fulfillment.usesBackend" -}}
{{- $root := index . 0 -}}
{{- $names := list $root.Values.backend.name -}}
{{- range $root.Values.backend.routes -}}
{{- $names = append $names .backend -}}
{{- end -}}
{{- if has (index . 1) $names }}true{{ end -}}
{{- end -}}
