{{/* One stand-in: a Deployment and its Service. Takes (dict "root" $ "name" … "module" … "arguments" (list …) "ports" (dict …) "env" (list …)). */}}
{{- define "world.standIn" -}}
{{- $name := printf "%s-%s" .root.Release.Name .name -}}
{{- $labels := dict "app.kubernetes.io/name" "checkout-fulfillment-world" "app.kubernetes.io/instance" .root.Release.Name "app.kubernetes.io/component" .name -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- toYaml $labels | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- toYaml $labels | nindent 6 }}
  # What it knows is in its memory: two would not know the same.
  strategy:
    type: Recreate
  template:
    metadata:
      labels:
        {{- toYaml $labels | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 5
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ .name }}
          image: {{ .root.Values.image }}
          command:
            {{- concat (list "python" "-m" .module) .arguments | toYaml | nindent 12 }}
          {{- with .env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          resources:
            requests:
              cpu: 20m
              memory: 64Mi
            limits:
              memory: 512Mi
          ports:
            {{- range $port, $number := .ports }}
            - name: {{ $port }}
              containerPort: {{ $number }}
            {{- end }}
          readinessProbe:
            tcpSocket:
              port: http
            periodSeconds: 1
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- toYaml $labels | nindent 4 }}
spec:
  selector:
    {{- toYaml $labels | nindent 4 }}
  ports:
    {{- range $port, $number := .ports }}
    - name: {{ $port }}
      port: {{ $number }}
      targetPort: {{ $port }}
    {{- end }}
{{- end -}}
