"""Pure HTTP/1.1: heads, framing and upgrades, with everything optional refused (RFC 9112)."""
