"""Where dealcast runs: the command line, the demo, the sandbox platform, the Prefect deployments."""
