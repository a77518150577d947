"""What kzproxy counts, in Prometheus' words."""
