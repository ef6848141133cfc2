"""The admin port: liveness, readiness, status; later metrics, reports and a console. Runs in the recorder's process."""
