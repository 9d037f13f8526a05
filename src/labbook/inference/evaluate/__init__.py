"""What a network has learned: the test, what it says of each class, and how sure the network may be of itself."""
