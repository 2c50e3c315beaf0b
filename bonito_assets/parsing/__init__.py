"""From `generations` to `tasks`: instruction and answer, or the reason why there is none."""
