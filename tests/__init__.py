"""Our own tests. A package, so that no other that is called so is taken for it."""
