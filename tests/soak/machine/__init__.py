"""A state machine of everything that clients, workers, providers and accidents can do to a deployment, in any order.

A model predicts each answer.
"""
