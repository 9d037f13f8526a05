"""What each network costs, and the data sets that it goes with: tables in docs/models.md."""
