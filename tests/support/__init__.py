"""What tests of several rooms share; a file has one purpose."""
