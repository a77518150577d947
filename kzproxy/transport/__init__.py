"""TLS sockets on the event loop: the listener, client connections and byte streams."""
