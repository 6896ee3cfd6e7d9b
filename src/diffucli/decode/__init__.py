"""The decoding room: one loop, and the choices that make it any published method."""
