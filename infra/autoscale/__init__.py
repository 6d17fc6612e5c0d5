"""How many machines the waiting work needs: the pure planner of the autoscaler (snapshot in, decisions out)."""
