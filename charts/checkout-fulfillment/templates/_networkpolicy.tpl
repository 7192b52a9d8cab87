{{/* Lets pods look names up, and reach these TCP ports anywhere. Takes (list $ ports). */}}
{{- define "checkout-fulfillment.egress" -}}
{{- $root := index . 0 -}}
{{- $ports := list -}}
{{- range index . 1 }}{{ $ports = append $ports (int .) }}{{ end -}}
# A policy judges the pod's port, not the Service's: OpenShift's DNS pods listen on 5353.
- ports:
    {{- range list 53 5353 }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
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
