"""The user's side: sign-in, token cache and the kubectl credential plugin."""
