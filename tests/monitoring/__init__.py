"""The snippets for Prometheus and Grafana: on the daemon's own metrics, by promtool(1), and on a real Prometheus."""
