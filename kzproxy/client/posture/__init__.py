"""What this machine can say of its own state: collectors, and the signed report."""
