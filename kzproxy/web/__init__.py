"""What is not Kubernetes traffic: health and metrics for operators."""
