"""Minutes of everything at once against the real control plane, judged at the end: docs/soak.md."""
