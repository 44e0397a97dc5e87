"""What networks are trained for: classes, or to reconstruct normal recordings; `registry` names the tasks."""
