"""The platform in small, on loopback: a rehearsal stage for syncs, with the product's routes and a kit of faults."""

from deployments.sandbox.api.app import DEFAULT_TOKEN, create_app
from deployments.sandbox.api.server import Sandbox, running, serve

__all__ = ["DEFAULT_TOKEN", "Sandbox", "create_app", "running", "serve"]
