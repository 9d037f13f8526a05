"""Settings: composed, checked, turned into objects, and what is said of wrong ones."""
