"""Check on an AWS account what tests without AWS cannot show: `make confirm STAGE=... URL=... TOKEN=...`.

The checks change one metric for some minutes, and post a turn that costs about a cent.
"""
