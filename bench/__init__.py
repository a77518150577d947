"""What kzproxy costs, beside nginx and other proxies, measured in one run: docs/performance.md."""
