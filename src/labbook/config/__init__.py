"""Settings: compose and check them, create objects, report errors."""
