"""From `tasks` to `curated_tasks`: duplicates marked, quality scores beside each row."""
