"""Who calls: OIDC tokens of configured issuers."""
