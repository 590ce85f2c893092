"""Lambda entry points. Each translates its event, calls `shared`, and answers. Business rules are in `shared`."""
