"""What must outlive a process: one interface, SQLite behind it, and views in memory that follow."""
