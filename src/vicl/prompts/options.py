"""What the methods can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=10_000)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Options(BaseModel):
    """What a method can be told: checked, never changed. Most have fields of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReadoutOptions(Options):
    """How what the backbone says of a changed image becomes an answer.

    Attributes:
        readout: The backbone's own labels, each taken for a class; a linear layer on its features;
            its words, where it has some; `auto` takes words, or labels, or else the layer.
        labels: Which labels stand for which class: the first, in order (as published for pixel
            prompts and reprogramming); drawn at random; those that the classes' images are most
            often taken for, counted before the first epoch; or before every one (ILM-VP).
        each: Labels that stand for a class.
        combine: Whether a class gets the mean of its labels' logits, or the sum of their chances.
        softmax: Over what chances are: the classes alone, or all of the backbone's labels.
    """

    readout: Literal["auto", "labels", "linear", "words"] = "auto"
    labels: Literal["first", "random", "frequency", "iterative"] = "first"
    each: Count = 1
    combine: Literal["mean", "sum"] = "mean"
    softmax: Literal["classes", "labels"] = "classes"


class PixelOptions(ReadoutOptions):
    """A pixel prompt; the defaults are VP's.

    Attributes:
        place: Where it is: along the border, in a square in the corner, in a square at a new place
            for every image, or everywhere.
        width: Of the border, or side of the square, in pixels.
        space: Added after the backbone's normalisation, or to the picture in [0, 1] before it.
        init: Its first values: of the standard normal distribution, uniform in [0, 1], or 0.
        clamp: Keep the sum within what pictures can be.
        published: The square at a new place as in VP's code: one place for a whole batch, never
            the last possible, and drawn in tests, too. Else a place an image, any, and in tests
            the middle.
    """

    place: Literal["border", "patch", "random-patch", "full"] = "border"
    width: Count = 30
    space: Literal["normalised", "image"] = "normalised"
    init: Literal["normal", "uniform", "zero"] = "normal"
    clamp: bool = False
    published: bool = False


class ReprogramOptions(ReadoutOptions):
    """Adversarial reprogramming.

    Attributes:
        program: tanh(W) in [-1, 1] around the small image (Elsayed et al. 2018); sigmoid(W) in
            [0, 1] (ILM-VP); or W itself, added without bounds.
        image: Side of the small image in the middle, in pixels; 0: it fills the backbone's whole
            side, and the program is added along its border.
        border: Width of that border, in pixels.
        init: W's first values: 0, or of the standard normal distribution.
        penalty: Times the sum of W's squares is added to the loss. The paper's 0.05 is from
            memory, and holds W at 0 with a sum over 150,000 numbers; a port that works has 5e-7.
        softmax: As for the readout; the paper's is over all labels.
    """

    program: Literal["tanh", "sigmoid", "plain"] = "tanh"
    image: Annotated[int, Field(ge=0, le=4096)] = 0
    border: Count = 30
    init: Literal["zero", "normal"] = "zero"
    penalty: Annotated[float, Field(ge=0)] = 5e-7
    softmax: Literal["classes", "labels"] = "labels"


class VptOptions(Options):
    """Visual prompt tuning.

    Attributes:
        length: Prompt vectors in a layer; of `pad` the width of the ring, of `below` the extra
            channels. 0: none, for what `also` says alone.
        depth: New vectors before every layer, or only before the first. Of `pad` and `below` there
            is nothing deep.
        placement: Vectors of their own before those of the patches; added to all tokens, a vector
            each (`add`) or one for all (`add-1`); as pixels of patches of their own
            (`prepend-pixel`); a ring of pixels around the image (`pad`); channels beside red,
            green and blue with a first convolution that is learned, too (`below`).
        layers: Only so many layers are prompted; None: all.
        reverse: Those are the last, not the first.
        expand: After the last prompted layer the prompts' tokens stay.
        shared: The vectors of the first layer come before every one.
        project: Vectors are learned with so many numbers, and brought to the width of a token by a
            layer that all share; None: at that width.
        dropout: Share of a prompt's numbers that is dropped in training.
        init: Random, or averages of the class token over the training images: of the last layer's
            output for all, of each layer's input (`class-no-last`) or of each one's output
            (`class-no-first`).
        pool: Features: as the backbone has them; or the mean of the patches' tokens, of the
            prompts', of both; or of all after the first, before the last normalisation (`mae`).
        also: What is learned besides: the biases, the class token, a new class token.
        update: The prompts are learned; else they stay as they were drawn, a control.
        published: With the faults that change numbers: in a shallow Swin images of a batch mix;
            `reverse` overwrites the first patches instead of adding prompts; `shared` counts
            vectors that nothing uses; the last layer begins at random, not at 0.
    """

    length: Annotated[int, Field(ge=0, le=10_000)] = 10
    depth: Literal["deep", "shallow"] = "deep"
    placement: Literal["prepend", "add", "add-1", "prepend-pixel", "pad", "below"] = "prepend"
    layers: Count | None = None
    reverse: bool = False
    expand: bool = True
    shared: bool = False
    project: Count | None = None
    dropout: Share = 0.0
    init: Literal["random", "final-class", "class-no-last", "class-no-first"] = "random"
    pool: Literal["original", "image", "prompt", "image-prompt", "mae"] = "original"
    also: Literal["nothing", "bias", "class-token", "new-class-token"] = "nothing"
    update: bool = True
    published: bool = False


class MlpOptions(Options):
    """Layers on frozen features.

    Attributes:
        layers: Linear layers; all but the last with ReLU, batch normalisation and dropout 0.1.
    """

    layers: Count = 3


class PartialOptions(Options):
    """The backbone's end is learned.

    Attributes:
        layers: So many of its last layers, and all that comes after them.
    """

    layers: Count = 1


class SideOptions(Options):
    """A small network beside the backbone.

    Attributes:
        weights: A safetensors file with its convolutions, by torchvision's names of an AlexNet
            (`features.0.weight` and so on); None: random ones. As published they are an
            ImageNet AlexNet's.
    """

    weights: str | None = None


class AdapterOptions(Options):
    """A bottleneck after the MLP of every layer.

    Attributes:
        reduction: It is so many times narrower than a token.
        published: Both of its matrices start at 0, so that nothing but a bias ever moves, and the
            last layer at random; else the second matrix and the last layer start at 0.
    """

    reduction: Count = 8
    published: bool = False


class LoraOptions(Options):
    """Low-rank additions to the backbone's matrices, by the library peft.

    Attributes:
        rank: Of the additions.
        alpha: They are scaled by it, over the rank.
        dropout: Share of their inputs that is dropped in training.
        targets: Matrices of queries and values, or all of the layers.
    """

    rank: Count = 8
    alpha: Annotated[float, Field(gt=0, le=10_000)] = 16.0
    dropout: Share = 0.0
    targets: Literal["query-value", "all"] = "query-value"


class ZeroShotOptions(Options):
    """Options of zero-shot.

    Attributes:
        templates: Texts with `{}` for the name of a class, or names of sets of templates
            (`vicl.prompts.templates`); the mean over all is taken.
    """

    templates: tuple[str, ...] = ("photo",)


class TextOptions(Options):
    """Options of coop.

    Attributes:
        context: Tokens that are learned before a name.
        words: The contexts begin at these, and are as many; None: they begin at random.
        position: Where the name stands: behind the contexts, amid them, or before them.
        class_specific: Each class has contexts of its own.
    """

    context: int = Field(default=16, gt=0, le=64)
    words: str | None = None
    position: Literal["end", "middle", "front"] = "end"
    class_specific: bool = False


class ConditionalOptions(Options):
    """Options of cocoop.

    Attributes:
        context: Tokens that are learned before a name.
        words: The contexts begin at these, and are as many; None: they begin at random.
    """

    context: int = Field(default=4, gt=0, le=64)
    words: str | None = "a photo of a"


class UnifiedOptions(Options):
    """Options of upt.

    Attributes:
        text: Learned vectors that become contexts before a name.
        image: Learned vectors that become tokens of the image.
        attention: Over which vectors each attends: over all ("intended"), or, as the published code
            does, over itself alone ("published").
    """

    text: int = Field(default=4, gt=0, le=64)
    image: int = Field(default=4, gt=0, le=64)
    attention: Literal["intended", "published"] = "intended"
