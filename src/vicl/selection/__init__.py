"""Selection: pools of examples, and choosing from them for a query."""
