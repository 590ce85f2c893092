"""Who a token speaks for: the issuer's keys, and the claims of a token that one of them signed."""
