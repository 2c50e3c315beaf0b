"""From `curated_tasks` to `instruction_dataset`: the dataset that people load."""
