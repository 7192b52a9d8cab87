{{/* Names and labels of a workload's Deployment. Takes (list $ component). */}}
{{- define "checkout-fulfillment.deploymentMetadata" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
name: {{ include "checkout-fulfillment.fullname" $root }}-{{ $component }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "checkout-fulfillment.labels" . | nindent 2 }}
{{- with (index $root.Values $component).annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a workload's pods: none with a version, which would restart them for nothing. Takes (list $ component). */}}
{{- define "checkout-fulfillment.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $workload := index $root.Values (index . 1) -}}
labels:
  {{- $selecting := include "checkout-fulfillment.selectorLabels" . | fromYaml }}
  {{- toYaml (merge (dict) $selecting $workload.podLabels $root.Values.commonLabels) | nindent 2 }}
{{- with $workload.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where a workload's pods run, and as whom. Takes (list $ component). */}}
{{- define "checkout-fulfillment.podOptions" -}}
{{- $root := index . 0 -}}
{{- $workload := index $root.Values (index . 1) -}}
{{- $selected := dict "labelSelector" (dict "matchLabels" (include "checkout-fulfillment.selectorLabels" . | fromYaml)) -}}
serviceAccountName: {{ include "checkout-fulfillment.serviceAccountName" . | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $workload.terminationGracePeriodSeconds }}
{{ include "checkout-fulfillment.imagePullSecrets" $root }}
{{- with $workload.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $workload.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $workload.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $workload.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $workload.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $workload.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $constraint := . }}
  {{- if not (hasKey . "labelSelector") }}
  {{- $constraint = merge (dict) . $selected }}
  {{- end }}
  - {{ toYaml $constraint | indent 4 | trim }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Whom the nodes are when they pull the image. */}}
{{- define "checkout-fulfillment.imagePullSecrets" -}}
{{- with concat .Values.imagePullSecrets .Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The subcommand of `fulfillment` that a workload runs. Takes (list $ component). */}}
{{- define "checkout-fulfillment.subcommand" -}}
{{- get (dict "webhook" "service" "operator" "operator" "page" "page" "recovery" "recover") (index . 1) -}}
{{- end -}}

{{/* A workload's container, but for its environment and volumes. Takes (list $ component). */}}
{{- define "checkout-fulfillment.container" -}}
{{ include "checkout-fulfillment.containerOfImage" . }}
args:
  - {{ include "checkout-fulfillment.subcommand" . }}
# It answers as soon as it works; until then nothing is asked of it.
startupProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* A container as whoever runs the image has it. Takes (list $ component). */}}
{{- define "checkout-fulfillment.containerOfImage" -}}
{{- $root := index . 0 -}}
{{- $workload := index $root.Values (index . 1) -}}
name: {{ index . 1 }}
image: {{ include "checkout-fulfillment.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
# Its last line says what to mend: `kubectl describe` shows it.
terminationMessagePolicy: FallbackToLogsOnError
{{- with $workload.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $workload.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The environment of every workload. Takes (list $ component). */}}
{{- define "checkout-fulfillment.workloadEnv" -}}
{{ include "checkout-fulfillment.commonEnv" (index . 0) }}
# What `fulfillment check-config` judges in this pod.
- name: CHECK_CONFIG_SETTINGS
  value: {{ include "checkout-fulfillment.subcommand" . }}
{{- end -}}

{{/* The environment of the workloads, and of the pod that tests them. */}}
{{- define "checkout-fulfillment.commonEnv" -}}
- name: FULFILLMENT_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: FULFILLMENT_LOG_FORMAT
  value: {{ .Values.log.format }}
- name: FULFILLMENT_LOG_LEVEL
  value: {{ .Values.log.level }}
- name: FULFILLMENT_RETENTION
  value: {{ .Values.retention }}
{{- end -}}

{{/* Which events count by their origin. */}}
{{- define "checkout-fulfillment.originEnv" -}}
{{- if ne .Values.stripe.livemode nil }}
- name: STRIPE_LIVEMODE
  value: {{ .Values.stripe.livemode | quote }}
{{- end }}
{{- with .Values.stripe.accounts }}
- name: STRIPE_ACCOUNTS
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}

{{/* Which orders count, of several apps that share an account: for the webhook, and for the test that sends it one. */}}
{{- define "checkout-fulfillment.filterEnv" -}}
{{- with .Values.stripe.paymentLinks }}
- name: STRIPE_PAYMENT_LINKS
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.stripe.metadata }}
{{- $entries := list -}}
{{- range $key, $value := . }}{{ $entries = append $entries (printf "%s=%s" $key $value) }}{{ end }}
- name: STRIPE_METADATA
  value: {{ join "," $entries | quote }}
{{- end }}
{{- end -}}

{{/* Where events are taken from. */}}
{{- define "checkout-fulfillment.sourcesEnv" -}}
{{- with .Values.stripe.allowedSources }}
{{- if .enabled }}
- name: STRIPE_ALLOWED_SOURCES
  value: {{ join "," .addresses | quote }}
{{- with .trustedProxies }}
- name: FULFILLMENT_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What of a Session is stored, for those that make requests. */}}
{{- define "checkout-fulfillment.storedEnv" -}}
{{- with .Values.stored.metadataKeys }}
- name: FULFILLMENT_METADATA_KEYS
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.stored.clientReferenceId }}
- name: FULFILLMENT_CLIENT_REFERENCE_ID
  value: "true"
{{- end }}
{{- end -}}

{{/* Mounts the signing secrets, each in a file of its own, so that they are rolled without a restart. */}}
{{- define "checkout-fulfillment.webhookSecretsVolume" -}}
- name: webhook-secrets
  projected:
    sources:
      - secret:
          name: {{ .Values.stripe.existingSecret | quote }}
          items:
            - key: {{ .Values.stripe.webhookSecretsKey | quote }}
              path: webhook-secrets
      {{- range $place, $extra := .Values.stripe.extraWebhookSecrets }}
      - secret:
          name: {{ $extra.name | quote }}
          optional: true
          items:
            - key: {{ $extra.key | quote }}
              path: extra-{{ $place }}
      {{- end }}
{{- end -}}

{{/* Mounts the API key, so that it is rolled without a restart. */}}
{{- define "checkout-fulfillment.apiKeyVolume" -}}
- name: api-key
  secret:
    secretName: {{ .Values.stripe.existingSecret | quote }}
    items:
      - key: {{ .Values.stripe.apiKeyKey | quote }}
        path: api-key
{{- end -}}

{{/* The Standard Webhooks secret of the http backend. */}}
{{- define "checkout-fulfillment.httpSecretVolume" -}}
- name: http-secret
  secret:
    secretName: {{ .Values.backend.http.existingSecret | quote }}
    items:
      - key: {{ .Values.backend.http.secretKey | quote }}
        path: secret
{{- end -}}
