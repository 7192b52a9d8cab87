{{/* Lets pods look names up, and reach these TCP ports anywhere. Takes (list $ ports). */}}
{{- define "checkout-fulfillment.egress" -}}
{{- $root := index . 0 -}}
{{- $ports := list -}}
{{- range index . 1 }}{{ $ports = append $ports (int .) }}{{ end -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range uniq $ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- with $root.Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Lets Prometheus and the kubelet reach the management port. */}}
{{- define "checkout-fulfillment.metricsIngress" -}}
- ports:
    - port: metrics
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
