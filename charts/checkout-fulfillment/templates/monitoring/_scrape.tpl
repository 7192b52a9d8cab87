{{/* How a monitor scrapes. Takes the monitor's values. */}}
{{- define "checkout-fulfillment.scrape" -}}
port: metrics
path: /metrics
# The alerts select by the label "namespace": nothing may rename it.
honorLabels: true
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
