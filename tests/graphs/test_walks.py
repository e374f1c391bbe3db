"""Walks inside a graph are those of the segmenter."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from vicl.graphs.walks import ahead
from vicl.models.matching.view import FINE, PICTURE
from vicl.models.promptable import walks
from vicl.models.promptable.guidance import Guide


@pytest.mark.parametrize("box", [(-1.0, -1.0, -1.0, -1.0), (0.1, 0.2, 0.8, 0.9)])
def test_a_graph_walks_as_the_segmenter_does(box: tuple[float, ...]) -> None:
    made = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 12, 12, generator=made)
    picture = F.interpolate(noise, (PICTURE, PICTURE), mode="bicubic").clamp(0, 1)
    points = torch.rand(1, 3, 2, generator=made)
    none = torch.full((1, FINE, FINE), -1.0)
    outline = torch.rand(1, FINE, FINE, generator=made)
    guide = Guide(points, torch.tensor([[1, 0, 1]]), torch.tensor([box]), none)
    wanted = walks.ahead(guide, picture, outline)
    assert float(wanted.min()) < -0.5 < 0.5 < float(wanted.max())
    torch.testing.assert_close(ahead(guide, picture, outline), wanted, atol=1e-4, rtol=0)
