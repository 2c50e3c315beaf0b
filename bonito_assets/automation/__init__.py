"""What starts a run: jobs, schedules, sensors and conditions, and who hears of a failure."""
