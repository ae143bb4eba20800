"""The intake of messages, the delivery plan of each, and messages that the server makes itself."""
