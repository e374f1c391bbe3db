"""Pictures of `docs/gallery.md`, from the package's photographs and with its engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from vicl.evaluation.datasets.generated.rules import RuleEpisodes
from vicl.exports.answers import Answer, as_annotation
from vicl.exports.candidates import all_as_answer, as_answer
from vicl.exports.overlay import overlay
from vicl.exports.sheets import contact_sheet
from vicl.files.packaged import PHOTOS
from vicl.images import to_levels, to_tensor
from vicl.loading import load_segmenter
from vicl.metrics import iou
from vicl.prompting.prompter import VisualPrompter
from vicl.tasks import get_task
from vicl.tasks.colour_hints import Dab, colorize

GREEN, RED = (70, 230, 90), (235, 60, 50)
Picture = Float[Tensor, "3 _ _"]


def masks() -> Image.Image:
    """Masks by one example, beside Copy and the truth."""
    rows, captions = [], []
    for shown, asked in (
        ("dandelion_1", "dandelion_2"),
        ("dandelion_1", "dandelion_3"),
        ("tissue_1", "tissue_2"),
        ("meadow_1", "meadow_2"),
    ):
        truth = to_tensor(PHOTOS / f"{asked}_mask.png")
        answers = [
            VisualPrompter(name, [_example(shown)], "segmentation").predict(_photo(asked))
            for name in ("matching", "analogies", "copy")
        ]
        drawn = [to_tensor(answer.image) for answer in answers]
        rows.append([*map(to_tensor, _example(shown)), to_tensor(_photo(asked)), truth, *drawn])
        scores = [iou(one.mean(0).numpy() > 0.5, truth.mean(0).numpy() > 0.5) for one in drawn]
        captions.append([None] * 4 + [f"IoU {score:.2f}" for score in scores])
    headers = ("example", "its mask", "query", "truth", "matching", "analogies", "Copy")
    return contact_sheet(rows, headers=headers, captions=captions, cell=150)


def strokes() -> Image.Image:
    """Two strokes on an example, and the masks of others."""
    photo = to_levels(_photo("dandelion_1"))
    height, width = photo.shape[:2]
    marks = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(marks)
    pen.line([(150, 120), (240, 190)], fill=1, width=16)
    pen.line([(20, 300), (360, 300)], fill=0, width=16)
    values = np.asarray(marks)
    shown = photo.copy()
    shown[values == 1], shown[values == 0] = GREEN, RED
    prompter = VisualPrompter("matching", [(photo, values)], "segmentation")
    found = [_over(_photo(name), prompter.predict(_photo(name))) for name in _DANDELIONS]
    headers = ("two strokes: in, out", "an answer", "an answer")
    return contact_sheet([[_picture(shown), *found]], headers=headers, cell=260)


def objects() -> Image.Image:
    """Coins, told apart."""
    from scipy import ndimage

    prompter = VisualPrompter("matching", [_example("coins_1")], "segmentation", instances=True)
    answer = prompter.predict(_photo("coins_2"))
    assert answer.objects is not None
    pictures = [*map(to_tensor, _example("coins_1")), to_tensor(_photo("coins_2"))]
    row = [*pictures, _over(_photo("coins_2"), answer)]
    _, true = ndimage.label(to_levels(_example("coins_2")[1])[..., 0] > 127)
    captions = [[None, None, None, f"{int(answer.objects.max())} found of {true}"]]
    headers = ("example", "its mask", "query", "objects")
    return contact_sheet([row], headers=headers, captions=captions, cell=220)


def clicks() -> Image.Image:
    """What a click, two clicks and a box mean, and everything."""
    segmenter = load_segmenter("default", device="cpu")
    rows = []
    for name, point, other, box in (
        ("coffee", (255, 100), (140, 170), (60, 30, 370, 300)),
        ("dandelion_1", (190, 150), (60, 280), (60, 30, 330, 290)),
    ):
        photo = to_levels(_photo(name))
        image = segmenter.encode(photo)
        one = image.masks(points=[point])
        two = image.masks(points=[point, other], labels=[1, 0])
        boxed = image.masks(box=box)
        found = [_over(photo, as_answer(candidates)) for candidates in (one, two, boxed)]
        marked = (((point,), ()), ((point,), (other,)), ((), ()))
        pictures = [
            _marked(picture, inside, outside, box if not inside else None)
            for picture, (inside, outside) in zip(found, marked, strict=True)
        ]
        everything = all_as_answer(image.everything(grid=8))
        rows.append([*pictures, _over(photo, everything)])
    headers = ("a click", "and one not meant", "a box", "everything")
    return contact_sheet(rows, headers=headers, cell=240)


def pictures() -> Image.Image:
    """Edges, colours and a negative, by the engine that is taken for each."""
    rows, labels = [], []
    for name, shown, asked in (
        ("edges", ("bowl.jpg", "bowl_edges.png"), ("coffee.jpg", "coffee_edges.png")),
        ("colorization", ("mountain_1.jpg", "mountain_1.jpg"), ("mountain_2.jpg",) * 2),
        ("image", ("brushes.jpg", "brushes_negative.jpg"), ("cat.jpg", "cat_negative.jpg")),
    ):
        task = get_task(name)
        example = (PHOTOS / shown[0], PHOTOS / shown[1])
        answer = VisualPrompter(None, [example], name).predict(PHOTOS / asked[0])
        first, second, query = (to_tensor(PHOTOS / one) for one in (*shown, asked[0]))
        seen = [task.draw_query(first), second, task.draw_query(query)]
        rows.append([*seen, to_tensor(answer.image), to_tensor(PHOTOS / asked[1])])
        labels.append(name)
    headers = ("example", "its output", "query", "answer", "truth")
    return contact_sheet(rows, headers=headers, labels=labels, cell=170)


def hints() -> Image.Image:
    """Dabs of the true colours on a gray photograph."""
    true = to_levels(_photo("bowl"))
    gray = np.repeat(np.asarray(Image.fromarray(true).convert("L"))[..., None], 3, axis=2)
    things = ((150, 210), (250, 320), (440, 170), (380, 300), (190, 75), (300, 205), (335, 140))
    ground = ((60, 60), (60, 300), (480, 30), (490, 320))
    dabs = [Dab(x, y, _colour(true, x, y)) for x, y in (*things, *ground)]
    shown = Image.fromarray(gray)
    pen = ImageDraw.Draw(shown)
    for dab in dabs:
        pen.ellipse((dab.x - 9, dab.y - 9, dab.x + 9, dab.y + 9), fill=dab.colour, outline="white")
    row = [_picture(np.asarray(shown)), to_tensor(colorize(gray, dabs)), _picture(true)]
    return contact_sheet([row], headers=("gray, with dabs", "coloured", "true"), cell=300)


def rules() -> Image.Image:
    """Rules that training never showed, answered by four engines."""
    dataset = RuleEpisodes("unseen")
    episodes = dataset.episodes(16, seed=0)
    rows, labels = [], []
    for episode in (episodes[n] for n in _RULES):
        case = dataset.load(episode)
        (example,) = case.prompt.examples
        shown = [example.input, example.output, case.prompt.query, case.truth.image]
        answers = [
            next(iter(VisualPrompter(name).map_prompts([case.prompt]))).image
            for name in ("default", "analogies", "copy", "identity")
        ]
        rows.append([to_tensor(one) for one in (*shown, *answers)])
        labels.append(episode.class_name.replace("+", "\n+ "))
    names = ("example", "its output", "query", "truth", "default", "analogies", "Copy", "identity")
    return contact_sheet(rows, headers=names, labels=labels, cell=120)


GALLERY: Mapping[str, Callable[[], Image.Image]] = {
    one.__name__: one for one in (masks, strokes, objects, clicks, pictures, hints, rules)
}

_DANDELIONS = ("dandelion_2", "dandelion_3")
_RULES = (1, 5, 7, 13)


def _photo(name: str) -> str:
    return str(PHOTOS / f"{name}.jpg")


def _example(name: str) -> tuple[str, str]:
    return _photo(name), str(PHOTOS / f"{name}_mask.png")


def _picture(pixels: UInt8[np.ndarray, "h w 3"]) -> Picture:
    return to_tensor(Image.fromarray(pixels))


def _colour(pixels: UInt8[np.ndarray, "h w 3"], x: int, y: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in pixels[y, x])
    return red, green, blue


def _over(photo: str | UInt8[np.ndarray, "h w 3"], answer: Answer) -> Picture:
    return to_tensor(overlay(photo, as_annotation("photograph", answer)))


def _marked(
    picture: Picture,
    inside: Sequence[tuple[int, int]],
    outside: Sequence[tuple[int, int]],
    box: tuple[int, int, int, int] | None,
) -> Picture:
    drawn = Image.fromarray((picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for points, colour in ((inside, GREEN), (outside, RED)):
        for x, y in points:
            pen.ellipse((x - 8, y - 8, x + 8, y + 8), fill=colour, outline="white", width=2)
    if box is not None:
        pen.rectangle(box, outline=GREEN, width=4)
    return to_tensor(drawn)
