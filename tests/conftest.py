"""What every test may use."""

from hypothesis import settings

pytest_plugins = ["tests.cluster.census", "tests.cluster.fixtures", "tests.proxy.fixtures"]

# How long an example takes says how busy the machine is; what things cost is for `make bench`.
settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")
