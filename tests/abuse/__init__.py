"""What strangers and broken machines send: none of it is an error of ours, and none of it moves money."""
