"""What do-tasks costs, beside the machine's floor and its peers."""
