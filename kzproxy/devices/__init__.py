"""Which device calls: certificates of the device CA."""
