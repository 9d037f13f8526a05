"""The networks there are to choose: what each costs, and what it looks like."""
