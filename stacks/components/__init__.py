"""One construct per component. A component knows its own resources; who may use it is granted where two meet."""
