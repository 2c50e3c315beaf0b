"""From `chunks` to `generations`: what Bonito writes for each passage and task type."""
