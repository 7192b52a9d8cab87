{{/* Rejects wrong values, where a schema could not say it so that a person knows what to do. */}}
{{- define "checkout-fulfillment.validate" -}}
{{- /* `helm template`, and with it Argo CD, sees no cluster: there the operators' one Lease keeps them apart. */ -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $instance := get $labels "app.kubernetes.io/instance" -}}
{{- if and (eq (get $labels "app.kubernetes.io/part-of") "checkout-fulfillment") (ne $instance $.Release.Name) -}}
{{- fail (printf "\none release per namespace, since two would fulfill the same orders: %s has the Deployment %s of the release %s. Upgrade that one, uninstall it first, or install this one into another namespace" $.Release.Namespace .metadata.name $instance) -}}
{{- end -}}
{{- end -}}
{{- range $path, $key := dict
  "stripe.apiKey" "stripe.apiKeyKey"
  "stripe.webhookSecret" "stripe.webhookSecretsKey"
  "stripe.webhookSecrets" "stripe.webhookSecretsKey" -}}
{{- if hasKey $.Values.stripe (trimPrefix "stripe." $path) -}}
{{- fail (printf "\n%s: secrets never stand in values, where every release keeps them. Put it into a Secret under the key of %s, and name that Secret in stripe.existingSecret:\n  kubectl create secret generic %s --namespace %s --from-literal=%s=sk_… --from-literal=%s=whsec_…" $path $key $.Values.stripe.existingSecret $.Release.Namespace $.Values.stripe.apiKeyKey $.Values.stripe.webhookSecretsKey) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.backend.http "secret" -}}
{{- fail "\nbackend.http.secret: secrets never stand in values. Put it into a Secret, and name that in backend.http.existingSecret" -}}
{{- end -}}
{{- if or (hasKey .Values.mail.smtp "password") (hasKey .Values.mail.smtp "username") -}}
{{- fail "\nmail.smtp.username and mail.smtp.password: secrets never stand in values. Put both into a Secret, and name that in mail.smtp.existingSecret" -}}
{{- end -}}
{{- range $component := list "webhook" "operator" "page" "recovery" -}}
{{- range (index $.Values $component).extraEnv -}}
{{- if and (regexMatch "^(STRIPE_API_KEY|STRIPE_WEBHOOK_SECRETS|FULFILLMENT_HTTP_SECRET|FULFILLMENT_SMTP_PASSWORD)$" .name) (hasKey . "value") -}}
{{- fail (printf "\n%s.extraEnv: %s is a secret, which never stands in values: name a Secret that holds it, in stripe, backend.http or mail.smtp" $component .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "checkout-fulfillment.validateDurations" . -}}
{{- if and (include "checkout-fulfillment.usesBackend" (list $ "http")) (not .Values.backend.http.url) -}}
{{- fail "\nbackend.http.url is not set: the http backend posts orders to it" -}}
{{- end -}}
{{- if and (include "checkout-fulfillment.usesBackend" (list $ "job")) (not .Values.backend.job.template) -}}
{{- fail "\nbackend.job.template is empty: the job backend makes Jobs of it" -}}
{{- end -}}
{{- if and (eq .Values.backend.name "none") (not .Values.backend.routes) -}}
{{- fail "\nbackend.name is none, and backend.routes is empty: no order could go anywhere" -}}
{{- end -}}
{{- if and .Values.stripe.allowedSources.enabled (not .Values.stripe.allowedSources.addresses) -}}
{{- fail "\nstripe.allowedSources.addresses is empty: no event could come in. Leave it out for those that Stripe publishes" -}}
{{- end -}}
{{- if and .Values.webhook.callback.enabled (not .Values.backend.http.existingSecret) -}}
{{- fail "\nbackend.http.existingSecret is empty: callbacks are signed with the secret in it" -}}
{{- end -}}
{{- if and .Values.mail.receipts (not .Values.mail.smtp.host) -}}
{{- fail "\nmail.smtp.host is not set: mail.receipts mails receipts by it" -}}
{{- end -}}
{{- if and .Values.mail.smtp.host (not .Values.mail.from) -}}
{{- fail "\nmail.from is not set: mails need a sender" -}}
{{- end -}}
{{- if and .Values.webhook.ingress.enabled (not .Values.webhook.ingress.hosts) -}}
{{- fail "\nwebhook.ingress.hosts is empty: name the hosts at which Stripe reaches the webhook" -}}
{{- end -}}
{{- if and .Values.webhook.httpRoute.enabled (not .Values.webhook.httpRoute.parentRefs) -}}
{{- fail "\nwebhook.httpRoute.parentRefs is empty: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- if and .Values.page.ingress.enabled (not .Values.page.ingress.hosts) -}}
{{- fail "\npage.ingress.hosts is empty: name the hosts at which buyers reach the order page" -}}
{{- end -}}
{{- if and .Values.page.httpRoute.enabled (not .Values.page.httpRoute.parentRefs) -}}
{{- fail "\npage.httpRoute.parentRefs is empty: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- $builtIn := list "log" "http" "job" "manual" "none" -}}
{{- $isOurs := and (eq (base .Values.image.repository) "checkout-fulfillment") (not .Values.image.tag) (not .Values.image.digest) -}}
{{- $chosen := dict "backend.name" .Values.backend.name -}}
{{- range $place, $route := .Values.backend.routes -}}
{{- $_ := set $chosen (printf "backend.routes[%d].backend" $place) $route.backend -}}
{{- end -}}
{{- range $path, $backend := $chosen -}}
{{- if and $isOurs (not (has $backend $builtIn)) -}}
{{- fail (printf "\n%s is %s, which this image does not have: it has %s. Where an image of your own adds it, name that image in image.repository or image.tag" $path $backend (join ", " $builtIn)) -}}
{{- end -}}
{{- end -}}
{{- range $component := list "webhook" "operator" "page" -}}
{{- $workload := index $.Values $component -}}
{{- $path := printf "%s.replicas" $component -}}
{{- $pods := $workload.replicas -}}
{{- if and (eq $component "webhook") $workload.autoscaling.enabled -}}
{{- $path = "webhook.autoscaling.minReplicas" -}}
{{- $pods = $workload.autoscaling.minReplicas -}}
{{- end -}}
{{- with $workload.podDisruptionBudget -}}
{{- if .enabled -}}
{{- $budget := printf "%s.podDisruptionBudget" $component -}}
{{- if eq .minAvailable nil -}}
{{- if has (toString .maxUnavailable) (list "0" "0%") -}}
{{- fail (printf "\n%s.maxUnavailable is %v: no node with one of these pods could ever be drained. Let one go, or switch the budget off" $budget .maxUnavailable) -}}
{{- end -}}
{{- else -}}
{{- $percent := hasSuffix "%" (toString .minAvailable) -}}
{{- $asked := trimSuffix "%" (toString .minAvailable) | int -}}
{{- $stay := $percent | ternary (divf (mul $asked (int (default 100 $pods))) 100 | ceil | int) $asked -}}
{{- if and (or $percent (ne $pods nil)) (gt $stay 0) (ge $stay (int (default 100 $pods))) -}}
{{- fail (printf "\n%s.minAvailable is %v, and %s is %v: no node with one of these pods could be drained. Let fewer stay, let more pods run, or switch the budget off" $budget .minAvailable $path $pods) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.webhook.autoscaling.minReplicas) (int .Values.webhook.autoscaling.maxReplicas) -}}
{{- fail "\nwebhook.autoscaling.minReplicas is greater than webhook.autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
