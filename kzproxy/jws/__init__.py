"""What the key of a client has signed: compact JWS (RFC 7515) with ES256, read in one place."""
