"""Reputation: the history of mail of a sender. Finding the sender and evaluating the history are pure."""
