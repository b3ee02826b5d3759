"""What NAO and LaNAS share: spaces, sources of fitness, the loop, the record and what is drawn from it."""
