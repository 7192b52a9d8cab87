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
