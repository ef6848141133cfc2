{{- define "taximeter.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "taximeter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "taximeter.labels" -}}
{{ include "taximeter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "taximeter.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "taximeter.config" -}}
listen: 0.0.0.0:8484
admin: 0.0.0.0:8485
data_dir: /data
policies: ["/etc/taximeter/policies/*.yaml"]
{{ toYaml .Values.config }}
{{- end -}}

{{- /* What both containers have; it ends in the list of mounts. */ -}}
{{- define "taximeter.container" -}}
envFrom:
  {{- range .Values.existingSecrets }}
  - secretRef: {name: {{ . }}}
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: config, mountPath: /etc/taximeter/taximeter.yaml, subPath: taximeter.yaml, readOnly: true}
  - {name: policies, mountPath: /etc/taximeter/policies, readOnly: true}
{{- end -}}
