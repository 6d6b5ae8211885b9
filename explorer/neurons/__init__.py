"""Which neurons know a property: what is computed of a study's neurons, and the tables that the page and CLI show."""
