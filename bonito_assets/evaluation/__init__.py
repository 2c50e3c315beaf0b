"""From `tuned_model` to `evaluation`: base and tuned model on the corpus's own test set."""
