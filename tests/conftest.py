"""What every test may use."""

pytest_plugins = ["tests.cluster.census", "tests.cluster.fixtures", "tests.proxy.fixtures"]
