"""The pages that people read: what they say is so, and every command in them runs."""
