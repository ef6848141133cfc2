"""taximeter.yaml: the schema people write and the settings the processes run on."""
