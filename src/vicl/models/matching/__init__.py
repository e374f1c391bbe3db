"""The engine `matching`: how every place of the query matches what the examples mark."""

from vicl.models.matching.engine import Matching as Matching
from vicl.models.matching.head import MatchingHead as MatchingHead
from vicl.models.matching.outlines import OutlineHead as OutlineHead
