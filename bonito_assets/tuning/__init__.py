"""From `instruction_dataset` to `tuned_model`: a LoRA adapter on a small base model."""
