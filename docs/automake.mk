# Nothing is built here yet.
