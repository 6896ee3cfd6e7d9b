"""What measurements share: charts, tables, and facts of the machine."""
