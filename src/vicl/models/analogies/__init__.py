"""The training-free engine: see :class:`Analogies`."""

from vicl.models.analogies.engine import Analogies

__all__ = ["Analogies"]
