"""Pictures: results of a run, anomaly maps, marks of waves. Needs the extra ``plots``."""
