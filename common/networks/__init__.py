"""Networks that are trained: operations, cells and whole networks, each an architecture's row made real."""
