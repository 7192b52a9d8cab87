{{/* The operator's environment: Stripe. */}}
{{- define "checkout-fulfillment.stripeEnv" -}}
- name: STRIPE_API_KEY_FILE
  value: /etc/checkout-fulfillment/stripe/api-key
{{- with .Values.stripe.apiBase }}
- name: STRIPE_API_BASE
  value: {{ . | quote }}
{{- end }}
- name: STRIPE_TIMEOUT
  value: {{ .Values.stripe.timeout }}
{{- with .Values.stripe.requestsPerSecond }}
- name: STRIPE_REQUESTS_PER_SECOND
  value: {{ . | quote }}
{{- end }}
- name: STRIPE_ENDPOINT_REQUESTS_PER_SECOND
  value: {{ .Values.stripe.endpointRequestsPerSecond | quote }}
- name: STRIPE_CONCURRENCY
  value: {{ .Values.stripe.concurrency | quote }}
{{- end -}}

{{/* The operator's environment: the backend. */}}
{{- define "checkout-fulfillment.backendEnv" -}}
- name: FULFILLMENT_BACKEND
  value: {{ .Values.backend.name }}
{{- if .Values.backend.routes }}
- name: FULFILLMENT_ROUTES_FILE
  value: /etc/checkout-fulfillment/backend/routes.yaml
{{- end }}
{{- if .Values.backend.job.template }}
- name: FULFILLMENT_JOB_TEMPLATE_FILE
  value: /etc/checkout-fulfillment/backend/job.yaml
{{- end }}
{{- if .Values.backend.job.reversalTemplate }}
- name: FULFILLMENT_JOB_REVERSAL_TEMPLATE_FILE
  value: /etc/checkout-fulfillment/backend/reversal-job.yaml
{{- end }}
- name: FULFILLMENT_BACKEND_DEADLINE
  value: {{ .Values.backend.deadline }}
- name: FULFILLMENT_BACKEND_RETRY_MAX
  value: {{ .Values.backend.retryMax }}
{{- with .Values.backend.http.url }}
- name: FULFILLMENT_HTTP_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.backend.http.existingSecret }}
- name: FULFILLMENT_HTTP_SECRET_FILE
  value: /etc/checkout-fulfillment/http/secret
{{- end }}
- name: FULFILLMENT_HTTP_TIMEOUT
  value: {{ .Values.backend.http.timeout }}
{{- end -}}

{{/* Whose mails, and whose order page. */}}
{{- define "checkout-fulfillment.shopEnv" -}}
- name: FULFILLMENT_SHOP_NAME
  value: {{ .Values.shop.name | quote }}
{{- with .Values.shop.url }}
- name: FULFILLMENT_SHOP_URL
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The operator's environment: mail. */}}
{{- define "checkout-fulfillment.mailEnv" -}}
{{- include "checkout-fulfillment.shopEnv" . }}
{{- with .Values.mail.from }}
- name: FULFILLMENT_MAIL_FROM
  value: {{ . | quote }}
{{- end }}
{{- if .Values.mail.templatesConfigMap }}
- name: FULFILLMENT_MAIL_TEMPLATES
  value: /etc/checkout-fulfillment/mail-templates
{{- end }}
{{- if .Values.mail.receipts }}
- name: FULFILLMENT_RECEIPTS
  value: "true"
{{- end }}
{{- with .Values.mail.smtp }}
{{- if .host }}
- name: FULFILLMENT_SMTP_HOST
  value: {{ .host | quote }}
- name: FULFILLMENT_SMTP_PORT
  value: {{ .port | quote }}
- name: FULFILLMENT_SMTP_TLS
  value: {{ .tls }}
- name: FULFILLMENT_SMTP_TIMEOUT
  value: {{ .timeout }}
{{- if .existingSecret }}
- name: FULFILLMENT_SMTP_USERNAME_FILE
  value: /etc/checkout-fulfillment/smtp/username
- name: FULFILLMENT_SMTP_PASSWORD_FILE
  value: /etc/checkout-fulfillment/smtp/password
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
