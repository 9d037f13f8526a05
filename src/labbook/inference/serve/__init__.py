"""A local page that shows what a network says of an image, and which pixels mattered; needs the extra `serve`."""
