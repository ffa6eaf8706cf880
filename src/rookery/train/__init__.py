"""Training: one loop for pre-training, fine-tuning and state tuning, over the definitions that are served."""
