"""The policy administrator: sessions, live streams and the engine in force."""
