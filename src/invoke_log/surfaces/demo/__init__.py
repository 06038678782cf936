"""The demo: the same charges with and without a guard, as real processes on real sockets.

A Stripe-compatible server, a proxy that loses answers, the agents and their story each run in a process of their own.
The package imports like a user, and nothing imports it but the command that starts it.
"""
