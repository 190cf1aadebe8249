"""What earlier tasks taught: cheap facts about a table, and a store of what worked on tables like it."""
