"""launch: checks a request, and starts its run or answers at once."""
