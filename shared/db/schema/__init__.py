"""The schema in SQLAlchemy Core. A test compares it with the migrations."""
