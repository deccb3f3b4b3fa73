{{/* The labels of everything in this chart. */}}
{{- define "firstlight.labels" -}}
app.kubernetes.io/name: firstlight
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
What the ConfigMap holds. Checks look for what the run sends in the stores of the stack, so they are
asked only where it is sent to the stack's own collector, at either of its ports; `values` win.
*/}}
{{- define "firstlight.values" -}}
{{- $own := dict }}
{{- $collector := printf "(^|//)otel-collector\\.%s\\.svc(\\.[^:/]+)?(:[0-9]+)?/?$" .Release.Namespace }}
{{- if not (regexMatch $collector (tpl .Values.telemetry.endpoint .)) }}
{{- $own = dict "telemetry" (dict "enabled" false) }}
{{- end }}
{{- toYaml (merge (deepCopy .Values.values) $own) }}
{{- end }}

{{/*
The specification of a Job: the one template that the Job and the CronJob share. Nothing in it may
differ between two renderings of the same configuration, because the Job's name is its hash.
*/}}
{{- define "firstlight.job" -}}
backoffLimit: {{ .Values.backoffLimit }}
activeDeadlineSeconds: {{ .Values.activeDeadlineSeconds }}
podFailurePolicy:
  rules:
    # What another pod cannot mend: diverged, forbidden, invalid.
    - action: FailJob
      onExitCodes: { containerName: firstlight, operator: In, values: [65, 77, 78] }
    # Another run holds the lock, or this one was told to stop: tried again, ever more slowly,
    # until the deadline. It says nothing against this configuration.
    - action: Ignore
      onExitCodes: { containerName: firstlight, operator: In, values: [75] }
    # Evicted or preempted, which is not the agent's doing.
    - action: Ignore
      onPodConditions: [{ type: DisruptionTarget, status: "True" }]
template:
  metadata:
    labels:
      app.kubernetes.io/name: firstlight
      # Proxies of a service mesh would not end with the agent, and so the Job would not either.
      sidecar.istio.io/inject: "false"
      {{- with .Values.podLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    annotations:
      sidecar.istio.io/inject: "false"
      linkerd.io/inject: disabled
      {{- with .Values.traceparent }}
      firstlight.dev/traceparent: {{ quote . }}
      {{- end }}
      {{- with .Values.tracestate }}
      firstlight.dev/tracestate: {{ quote . }}
      {{- end }}
      {{- with .Values.podAnnotations }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  spec:
    {{- include "firstlight.pod" . | nindent 4 }}
{{- end }}

{{- define "firstlight.pod" -}}
serviceAccountName: firstlight
enableServiceLinks: false
restartPolicy: Never
# Time to end the change under way, to report and to deliver what is left of the trace.
terminationGracePeriodSeconds: 45
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
containers:
  - name: firstlight
    image: {{ .Values.image | default (printf "docker.io/library/firstlight:%s" .Chart.AppVersion) }}
    imagePullPolicy: {{ .Values.imagePullPolicy }}
    env:
      {{- include "firstlight.env" . | nindent 6 }}
    # The agent leaves its last sentence there; when it could not, the log's end is better than nothing.
    terminationMessagePolicy: FallbackToLogsOnError
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      runAsNonRoot: true
      capabilities: { drop: [ALL] }
      seccompProfile: { type: RuntimeDefault }
    volumeMounts:
      - { name: values, mountPath: /config, readOnly: true }
      {{- with .Values.telemetry }}
      {{- if include "firstlight.telemetry.ca" . }}
      - { name: telemetry-ca, mountPath: /telemetry/ca, readOnly: true }
      {{- end }}
      {{- if and .endpoint .client.secret }}
      - { name: telemetry-client, mountPath: /telemetry/client, readOnly: true }
      {{- end }}
      {{- if and .endpoint .spool.limit }}
      - { name: spool, mountPath: /spool }
      {{- end }}
      {{- end }}
volumes:
  - name: values
    configMap: { name: firstlight-values }
  {{- with .Values.telemetry }}
  {{- with include "firstlight.telemetry.ca" . }}
  - name: telemetry-ca
    {{- . | nindent 4 }}
  {{- end }}
  {{- if and .endpoint .client.secret }}
  - name: telemetry-client
    secret: { secretName: {{ .client.secret }} }
  {{- end }}
  {{- if and .endpoint .spool.limit }}
  - name: spool
    emptyDir: { sizeLimit: {{ .spool.sizeLimit }} }
  {{- end }}
  {{- end }}
{{- end }}

{{/* The volume of the authority that the collector's certificate is checked with; none if none is named. */}}
{{- define "firstlight.telemetry.ca" -}}
{{- if and .endpoint .ca.secret -}}
secret: { secretName: {{ .ca.secret }} }
{{- else if and .endpoint .ca.configMap -}}
configMap: { name: {{ .ca.configMap }} }
{{- end }}
{{- end }}

{{- define "firstlight.env" -}}
- { name: FIRSTLIGHT_BUNDLE, value: /bundle }
- { name: FIRSTLIGHT_PROFILE, value: {{ quote .Values.profile }} }
- { name: FIRSTLIGHT_VALUES, value: /config/values.yaml }
- name: FIRSTLIGHT_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: FIRSTLIGHT_POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: FIRSTLIGHT_POD_UID
  valueFrom: { fieldRef: { fieldPath: metadata.uid } }
- name: FIRSTLIGHT_JOB_NAME
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-name']" } }
- name: FIRSTLIGHT_JOB_UID
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']" } }
# The trace that the run belongs to, if the pod template says one.
- name: TRACEPARENT
  valueFrom: { fieldRef: { fieldPath: "metadata.annotations['firstlight.dev/traceparent']" } }
- name: TRACESTATE
  valueFrom: { fieldRef: { fieldPath: "metadata.annotations['firstlight.dev/tracestate']" } }
- { name: OTEL_SERVICE_NAME, value: firstlight }
{{- with tpl .Values.telemetry.endpoint . }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ quote . }} }
{{ include "firstlight.telemetry.env" $.Values.telemetry }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The standard variables of OpenTelemetry, and where what is not taken at once waits. */}}
{{- define "firstlight.telemetry.env" -}}
- { name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ .protocol }} }
{{- with .headers.secret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ . }}, key: {{ $.headers.key }} } }
{{- end }}
{{- if include "firstlight.telemetry.ca" . }}
- { name: OTEL_EXPORTER_OTLP_CERTIFICATE, value: /telemetry/ca/{{ .ca.key }} }
{{- end }}
{{- if .client.secret }}
- { name: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, value: /telemetry/client/{{ .client.certificate }} }
- { name: OTEL_EXPORTER_OTLP_CLIENT_KEY, value: /telemetry/client/{{ .client.key }} }
{{- end }}
{{- with .resourceAttributes }}
{{- $pairs := list }}
{{- range $name, $value := . }}
{{- $pairs = append $pairs (printf "%s=%s" $name ($value | urlquery | replace "+" "%20")) }}
{{- end }}
- { name: OTEL_RESOURCE_ATTRIBUTES, value: {{ join "," $pairs | quote }} }
{{- end }}
{{- with .sampler.name }}
- { name: OTEL_TRACES_SAMPLER, value: {{ . }} }
{{- end }}
{{- with .sampler.argument }}
- { name: OTEL_TRACES_SAMPLER_ARG, value: {{ quote . }} }
{{- end }}
{{- with .spool.limit }}
- { name: FIRSTLIGHT_SPOOL_DIR, value: /spool }
- { name: FIRSTLIGHT_SPOOL_LIMIT, value: {{ . }} }
{{- end }}
{{- end }}
