"""How mail of a sender has fared before. Who the sender is and what the past comes to is pure."""
