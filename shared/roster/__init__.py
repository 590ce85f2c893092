"""Rosters: agents and councils, as the API takes them and as roster files hold them."""
