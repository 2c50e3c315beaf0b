"""What the `bonito` command can do, in a module per kind of work."""
