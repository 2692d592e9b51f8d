"""What Prometheus and Grafana do with the metrics of runs on clusters: documents of theirs, made without the CDK."""
