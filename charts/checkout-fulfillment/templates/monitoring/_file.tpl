{{/* The alerts of a file of the chart: its one group, without those about what is not installed. Takes (list $ path). */}}
{{- define "checkout-fulfillment.alerts" -}}
{{- $root := index . 0 -}}
{{- $file := include "checkout-fulfillment.file" . | fromYaml -}}
{{- $group := first $file.groups -}}
{{- $rules := list -}}
{{- range $group.rules -}}
{{- if or $root.Values.page.enabled (ne (default .title .alert) "CheckoutPageDown") -}}
{{- $rules = append $rules . -}}
{{- else if .uid -}}
{{- /* Grafana keeps what was provisioned once, until a file names it here. */ -}}
{{- $_ := set $file "deleteRules" (list (dict "orgId" $group.orgId "uid" .uid)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $group "rules" $rules -}}
{{- toYaml $file -}}
{{- end -}}

{{/* A file for Grafana that has it delete the alerts of one: it keeps what was provisioned once, until a file names it. Takes (list $ path). */}}
{{- define "checkout-fulfillment.deletedAlerts" -}}
{{- $file := include "checkout-fulfillment.file" . | fromYaml -}}
{{- $group := first $file.groups -}}
{{- $deleted := default list $file.deleteRules -}}
{{- range $group.rules -}}
{{- $deleted = append $deleted (dict "orgId" $group.orgId "uid" .uid) -}}
{{- end -}}
{{- dict "apiVersion" $file.apiVersion "deleteRules" $deleted | toYaml -}}
{{- end -}}

{{/* A file of the chart, with what only the installation knows. Takes (list $ path). */}}
{{- define "checkout-fulfillment.file" -}}
{{- $root := index . 0 -}}
{{- $monitoring := $root.Values.monitoring -}}
{{- $root.Files.Get (index . 1)
  | replace "${namespace}" $root.Release.Namespace
  | replace "${hash}" (sha256sum $root.Release.Namespace | trunc 8)
  | replace "${overdue}" (toString $root.Values.recovery.overdueAfterHours)
  | replace "${runbooks}" (trimSuffix "/" $monitoring.runbookUrl)
  | replace "${datasource}" $monitoring.grafanaAlerts.datasourceUid
  | trim -}}
{{- end -}}
