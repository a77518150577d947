"""What state a device is in: reports, their sources, and what is made of them."""
