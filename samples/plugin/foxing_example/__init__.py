"""A signal, a curriculum and an output format for foxing, as anyone may add them."""
