"""The schema's way to a release's revision, invoked by the deployment before any traffic moves."""
