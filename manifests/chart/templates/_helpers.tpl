{{/* The labels of everything in this chart. */}}
{{- define "firstlight.labels" -}}
app.kubernetes.io/name: firstlight
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the ConfigMap holds. A run without an endpoint has no trace that a check could look for. */}}
{{- define "firstlight.values" -}}
{{- $own := dict }}
{{- if not .Values.otlpEndpoint }}
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
volumes:
  - name: values
    configMap: { name: firstlight-values }
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
{{- with tpl .Values.otlpEndpoint . }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ quote . }} }
- { name: OTEL_EXPORTER_OTLP_PROTOCOL, value: http/protobuf }
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
