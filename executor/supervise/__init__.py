"""The old place of the supervisor: jobs that live through an upgrade start it by this name, for one release."""
