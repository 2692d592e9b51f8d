"""The rules and the dashboard of Prometheus and Grafana."""
