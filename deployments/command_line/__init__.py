"""The parts that all commands share: their base and options, what a terminal shows, exit codes, signals, a Prefect server for a while."""
