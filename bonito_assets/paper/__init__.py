"""The experiment of the Bonito paper as one job: its seven target sets, its arms, its table."""
