"""The schema as SQLAlchemy Core knows it. Migrations are compared with it."""
