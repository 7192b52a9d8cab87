{{/* Whether a monitor can be installed: "true", or nothing where it is skipped. Takes (list $ kind). */}}
{{- define "checkout-fulfillment.isKnown" -}}
{{- $root := index . 0 -}}
{{- if or $root.Values.monitoring.required ($root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" (index . 1))) -}}true{{- end -}}
{{- end -}}

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
