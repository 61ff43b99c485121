"""Ways to run dealcast: the command line, the demo, the sandbox platform, the Prefect deployments."""
