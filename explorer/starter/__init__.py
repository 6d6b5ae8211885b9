"""What works offline, at once: a treebank, tasks, three small model families, and how they were made."""
