"""What fine-tuning does to the linguistic knowledge inside a pre-trained language model."""
