"""What a reply says of an answer, and what the client makes of it."""

from __future__ import annotations

import pytest
from PIL import Image

pytest.importorskip("fastapi")

from vicl.client.replies import predictions_of
from vicl.engine import View
from vicl.exports.answers import Answer
from vicl.server.service.replies import prediction
from vicl.server.service.schemas import Predictions
from vicl.tasks import get_task

GREY = Image.new("L", (40, 30), 90)


@pytest.mark.parametrize("named", [{}, {"class": "leaf"}])
def test_the_views_of_an_answer_reach_the_client(named: dict[str, str]) -> None:
    views = (View((0,), 1, -3.5, 0.75), View((1, 2), 5, None, 0.123456))
    passes = (views, ()) if named else (views,)
    answer = Answer(GREY, classes=("leaf", "stem"), views=passes)
    task = get_task("segmentation", classes=["leaf", "stem"])
    told = prediction("a.png", answer, task, "none")
    said = Predictions(engine="e", task="segmentation", seconds=1, answers=(told,))
    # As the route sends it.
    sent = said.model_dump(mode="json", by_alias=True, exclude_none=True)
    (found,) = predictions_of(sent)
    assert found.views == (
        {**named, "examples": [0], "arrangement": 1, "likelihood": -3.5, "agreement": 0.75},
        {**named, "examples": [1, 2], "arrangement": 5, "agreement": 0.1235},
    )
    assert Predictions.model_validate(sent) == said
