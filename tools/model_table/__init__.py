"""What each network costs, and the data sets that it goes with: tables in README.md and docs/models.md."""
