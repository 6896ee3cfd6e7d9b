"""Work on many items in this process, in several ones, or on a cluster; one loop deals them out. Knows no models."""
