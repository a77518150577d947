"""The composition root of kzproxy serve: build, run, drain."""
