"""A second resource, as a newcomer would write it: a table class and a route module."""
