"""Does one node of the plan: builds an artifact, condenses a cell, or evaluates a student."""
