"""The paper's studies: each varies one thing, and gives one table and one figure."""
