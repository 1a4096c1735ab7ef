"""Pictures of what a model has learned, and of how it learned."""

from callbacks.pictures.pictures import Pictures

__all__ = ["Pictures"]
