{{/* A duration, such as `1h30m`, in seconds. */}}
{{- define "checkout-fulfillment.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $seconds = addf $seconds (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/* Rejects durations that are too short or too long. The workloads reject the same at their start, in the same words. */}}
{{- define "checkout-fulfillment.validateDurations" -}}
{{- range list
  (list "stripe.timeout" .Values.stripe.timeout)
  (list "backend.retryMax" .Values.backend.retryMax)
  (list "backend.http.timeout" .Values.backend.http.timeout)
  (list "mail.smtp.timeout" .Values.mail.smtp.timeout)
  (list "webhook.tolerance" .Values.webhook.tolerance)
  (list "operator.recheckInterval" .Values.operator.recheckInterval)
  (list "operator.reversalInterval" .Values.operator.reversalInterval) -}}
{{- if eq (include "checkout-fulfillment.seconds" (last .) | float64) 0.0 -}}
{{- fail (printf "\n%s must be more than 0s" (first .)) -}}
{{- end -}}
{{- end -}}
{{- $retention := include "checkout-fulfillment.seconds" .Values.retention | float64 -}}
{{- if and (gt $retention 0.0) (lt $retention (mulf 744 3600)) -}}
{{- fail "\nretention must be at least 744h (31 days), or 0s to keep every order: Stripe can send an event again for 30 days, and one about a deleted order would fulfill it twice" -}}
{{- end -}}
{{- $lookBack := include "checkout-fulfillment.seconds" .Values.recovery.lookBack | float64 -}}
{{- if or (lt $lookBack 1.0) (gt $lookBack (mulf 720 3600)) -}}
{{- fail "\nrecovery.lookBack must be at least 1s, and at most 720h (30 days): Stripe lists no older events" -}}
{{- end -}}
{{- $deadline := include "checkout-fulfillment.seconds" .Values.webhook.deadline | float64 -}}
{{- if or (eq $deadline 0.0) (ge $deadline 10.0) -}}
{{- fail "\nwebhook.deadline must be more than 0s and less than 10s: Checkout holds the buyer's redirect for so long" -}}
{{- end -}}
{{- if gt (include "checkout-fulfillment.seconds" .Values.webhook.tolerance | float64) 540.0 -}}
{{- fail "\nwebhook.tolerance must be at most 9m: with a clock that is ten minutes slow each new order would look as one that a backup brought back" -}}
{{- end -}}
{{- $drain := include "checkout-fulfillment.seconds" .Values.webhook.drain | float64 -}}
{{- if gt $drain 300.0 -}}
{{- fail "\nwebhook.drain must be at most 5m" -}}
{{- end -}}
{{- if le (float64 .Values.webhook.terminationGracePeriodSeconds) (addf $drain $deadline) -}}
{{- fail "\nwebhook.terminationGracePeriodSeconds must be more than webhook.drain and webhook.deadline together: a pod would be killed with events in its hands" -}}
{{- end -}}
{{- $pageDrain := include "checkout-fulfillment.seconds" .Values.page.drain | float64 -}}
{{- if gt $pageDrain 300.0 -}}
{{- fail "\npage.drain must be at most 5m" -}}
{{- end -}}
{{- if le (float64 .Values.page.terminationGracePeriodSeconds) (addf $pageDrain 9.0) -}}
{{- fail "\npage.terminationGracePeriodSeconds must be more than page.drain and the 9 seconds that a visit may take" -}}
{{- end -}}
{{- end -}}
