"""The platform in small, on loopback: a rehearsal stage for syncs, with the product's routes and a kit of faults."""

from deployments.sandbox.api.app import create_app
from deployments.sandbox.api.server import Sandbox, running, serve

__all__ = ["Sandbox", "create_app", "running", "serve"]
