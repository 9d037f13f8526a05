"""What a sweep's report says, of run folders made up on the spot."""
