"""What an operator works on policies with: lint, test cases, who-can; without a cluster."""
