from __future__ import annotations

import pytest
import torch
from tests.evaluation.studies.toy import Finder, Toy, called, scores_of
from tests.models.kinds import KINDS

from vicl.evaluation.studies import ensembling
from vicl.evaluation.studies.mean_features import MeanFeatures
from vicl.evaluation.studies.variants import Asking
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel

OVER = "8 arrangements: "
EACH = "3 examples, a canvas each: "


@pytest.mark.slow
def test_canvases_that_err_each_in_its_own_way_outvote_their_errors() -> None:
    table = ensembling.run(called(Finder(noise=1.5)), Toy(), Asking(count=6), examples=3)
    alone = scores_of(table, "1 example", "finder")
    for start in (OVER, EACH):
        means = [
            scores_of(table, start + word, "finder")
            for word in ("mean of probabilities", "mean of scores", "product", "mean of images")
        ]
        assert min(means) > alone + 0.05
        # The same tokens: see vicl.prompting.fusing.
        assert means[1] == means[2]
    assert table.rows[0].variant == "1 example"
    assert table.variants[2].startswith(OVER)
    assert table.variants[-1].startswith(EACH)
    difference = next(row.difference for row in table.rows if row.variant == OVER + "product")
    assert difference.low > 0


def test_features_are_averaged_before_they_are_decoded() -> None:
    """Of the same example twice they are the plain ones, and of two their order does not matter."""
    model, toy = KINDS["mae-vqgan"].build(), Toy(flipped=0.3)
    prompt = toy.load(toy.episodes(1, examples=2)[0]).prompt
    first, second = prompt.examples
    (plain,) = CanvasModel(model, spins=1).answer([Prompt([first], prompt.query)])
    engine = MeanFeatures(model)
    same, mixed, turned = engine.answer(
        [Prompt(pair, prompt.query) for pair in ([first, first], [first, second], [second, first])]
    )
    assert torch.equal(same.image, plain.image)
    assert torch.equal(mixed.log_likelihood, turned.log_likelihood)
    assert not torch.equal(mixed.log_likelihood, plain.log_likelihood)
    (after,) = CanvasModel(model, spins=1).answer([Prompt([first], prompt.query)])
    assert torch.equal(after.image, plain.image)  # the model is left as it was


def test_models_are_fused_as_far_as_they_can_be() -> None:
    models = [KINDS[kind].build() for kind in ("mae", "autoregressive")]
    table = ensembling.run(called(*models), Toy(), Asking(count=1), examples=2)
    rows = {(row.variant, row.engine) for row in table.rows}
    images, vote, two = "mean of images", "vote on pixels", EACH.replace("3", "2")
    assert rows == {
        ("1 example", "copy"),
        ("1 example", "mae"),
        ("1 example", "autoregressive"),
        ("2 examples", "copy"),
        (OVER + images, "mae"),
        (OVER + vote, "mae"),
        (two + images, "mae"),
        (two + vote, "mae"),
        (two + "mean of features", "mae"),
        (two + images, "autoregressive"),
        (two + vote, "autoregressive"),
    }
    with pytest.raises(ValueError, match="examples: got 1"):
        ensembling.run({}, Toy(), Asking(), examples=1)
