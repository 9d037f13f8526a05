"""A page on this machine that shows the prediction for an image, and which pixels were important (extra `serve`)."""
