"""What keeps the platform running: is it healthy, are its files whole, where are its logs."""
