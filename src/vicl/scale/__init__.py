"""Many queries: by several processes, by shard, and over several machines."""
