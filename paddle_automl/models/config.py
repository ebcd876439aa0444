"""Options of the section `model`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import PydanticCustomError, core_schema

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Plugin, PluginConfig, Section, default
from paddle_automl.models.activations import ACTIVATIONS
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.embedding import EmbeddingConfig
from paddle_automl.models.heads.base import HEADS
from paddle_automl.models.initializers import INITIALIZERS
from paddle_automl.models.norms import NORMS
from paddle_automl.models.published import IMAGENET, Published
from paddle_automl.models.views import TestTimeAugmentation


class RegisteredName:
    """Annotation of a text field that must be a name in `registry`."""

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def validate(self, value: str) -> str:
        """Return `value` if it is registered."""
        try:
            self.registry[value]
        except ConfigError as error:
            raise PydanticCustomError("stated", str(error)) from None
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Return the schema that looks the name up."""
        return core_schema.no_info_after_validator_function(self.validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON Schema: one of the registered names."""
        return {"enum": self.registry.names()}


FINE_TUNING = ("frozen_epochs", "frozen_norm", "pretrained_rate", "stage_decay", "trained_stages", "thaw_epochs")
"""Options that concern the loaded layers of a backbone while it is trained."""


class ModelConfig(Section):
    """The network: backbone, kinds of layers, dropout, and weights to start from."""

    backbone: Annotated[PluginConfig, Plugin(BACKBONES, "resnet")] = default("resnet")
    """Feature extractor and its options."""
    activation: Annotated[str, RegisteredName(ACTIVATIONS)] = "relu"
    """Activation function after every convolution. Some backbones have another default for this option, `norm` and
    `initializer`, which their page names."""
    norm: Annotated[PluginConfig, Plugin(NORMS, "batch_norm")] = default("batch_norm")
    """Normalization after every convolution."""
    initializer: Annotated[str, RegisteredName(INITIALIZERS)] = "kaiming_normal"
    """Initial weights of convolutions and of the head."""
    embedding: EmbeddingConfig = EmbeddingConfig()
    """Vectors of tokens to start from, for backbones that read tokens."""
    head: Annotated[PluginConfig, Plugin(HEADS, "linear")] = default("linear")
    """Layers from the features to the outputs of the task."""
    feature_norm: Literal["none", "unit", "standard"] = "none"
    """Normalization of the features before the head. unit: the features of an item are divided by their root mean
    square; standard (only with freeze): each feature has mean 0 and deviation 1 over the training items."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Fraction of the features set to zero before the head while training."""
    test_time_augmentation: TestTimeAugmentation = "none"
    """Views of an image that the finished network averages (features before the head): mirror, the image and its
    mirror image; mirror_and_shifts, both also shifted by a pixel, six views. Evaluations, the bundle, and its
    latency include them; the steps of a training do not."""
    pretrained: str | None = None
    """Weights to start from. imagenet: published weights of the backbone, from the extra `pretrained` or, for
    networks of ``paddle.vision``, from Paddle's own folder; they bring their activation, norm, and preprocessing
    (`data.input`). A file (.pdparams, .safetensors, .pth): tensors of the same name and shape are loaded, the
    others are listed; names of torchvision and PaddleClas are known for their networks. The output folder of
    another search or training: its best network with its preprocessing and, where the classes are the same or only
    more, its head; a network of texts needs the same vocabulary, so the same training texts. Items that it was
    trained on are for training here too, whichever split is drawn."""
    freeze: Literal["backbone"] | None = None
    """backbone: the pretrained backbone does not change. Its features are computed once for each item, without
    augmentation, and only the head is trained, in seconds. Augmentations that mix any arrays, such as mixup, mix
    features; others are left out."""
    frozen_epochs: int = Field(0, ge=0)
    """Epochs at the start in which the loaded layers of the backbone do not change."""
    frozen_norm: bool = False
    """Whether the loaded running statistics of batch normalization stay as they are in all epochs: a fine-tuning of
    few and small batches would only spoil them."""
    pretrained_rate: float = Field(1.0, gt=0)
    """Factor of the learning rate for the loaded layers of the backbone."""
    stage_decay: float = Field(1.0, gt=0, le=1)
    """Factor of the learning rate from each stage of the loaded backbone to the one before it: layer-wise decay
    (Howard and Ruder 2018). The last stage has it once."""
    trained_stages: int | None = Field(None, ge=1)
    """Only the last stages of the loaded backbone are trained, so many of them; those before them stay as they are
    in all epochs, and need no backward pass. null: all."""
    thaw_epochs: int = Field(0, ge=0)
    """Gradual unfreezing: the last stage of the loaded backbone begins to change after `frozen_epochs`, and after
    each further so many epochs one more, from the head to the input. 0: all at once."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_backbone(cls, data: Any) -> Any:
        """Fill in what the backbone brings for options of this section that are not given."""
        if not isinstance(data, dict):
            return data
        backbone = data.get("backbone", "resnet")
        name = backbone.get("name", "resnet") if isinstance(backbone, dict) else getattr(backbone, "name", backbone)
        if not isinstance(name, str) or name not in BACKBONES:
            return data
        return {**BACKBONES[name].section, **data}

    @model_validator(mode="after")
    def _options_of_pretrained(self) -> ModelConfig:
        changed = [name for name in FINE_TUNING if getattr(self, name) != type(self).model_fields[name].default]
        if self.pretrained is None and changed:
            raise ValueError(f"{' and '.join(changed)}: only with pretrained, weights to start from")
        return self

    @model_validator(mode="after")
    def _options_of_freeze(self) -> ModelConfig:
        if self.freeze and self.pretrained is None:
            raise ValueError("freeze: backbone needs pretrained: weights that are worth keeping")
        changed = [name for name in FINE_TUNING if getattr(self, name) != type(self).model_fields[name].default]
        if self.freeze and set(changed) - {"frozen_norm"}:
            raise ValueError(f"freeze: backbone keeps it frozen in all epochs; leave {' and '.join(changed)}")
        if self.feature_norm == "standard" and not self.freeze and self.weights_path is None:
            raise ValueError(
                "feature_norm: standard needs freeze: backbone, with which features do not change, or the weights "
                "of such a run"
            )
        return self

    @model_validator(mode="after")
    def _as_the_weights_were_learned(self) -> ModelConfig:
        """Replace the options that published weights bring."""
        weights = self.published()
        if weights is None:
            return self
        norm = NORMS[weights.norm["name"]].Config(**weights.norm)
        return self.model_copy(update={"activation": weights.activation, "norm": norm})

    @property
    def weights_path(self) -> str | None:
        """Return the path that `pretrained` names; None for published weights and for nothing."""
        return None if self.pretrained == IMAGENET else self.pretrained

    def brings(self) -> tuple[str, dict[str, Any]]:
        """Return what weights and vectors bring of `data.input`, and the option that does; raises ValueError."""
        weights = self.published()
        if weights is not None:
            return f"model.pretrained: {self.pretrained}", dict(weights.input)
        package = self.embedding.package
        if package is not None:
            return f"model.embedding.package: {package}", {"tokens": {"kind": "package", "package": package}}
        return "", {}

    def published(self) -> Published | None:
        """Return the published weights that `pretrained` names, or None for a file and for nothing.

        Raises ValueError for a backbone without such weights.
        """
        if self.pretrained != IMAGENET:
            return None
        found = BACKBONES[self.backbone.name].published(self.backbone)
        if IMAGENET not in found:
            names = [text for name in BACKBONES.names() if (text := _with_weights(name))]
            raise ValueError(
                f"pretrained: the backbone '{self.backbone.name}' has no weights of {IMAGENET}; "
                f"those that have: {', '.join(names)}"
            )
        return found[IMAGENET]


def _with_weights(name: str) -> str:
    """Return a backbone's name, with the values of its option `variant` that have weights; empty if none has."""
    config = BACKBONES[name].Config
    field = config.model_fields.get("variant")
    variants = [] if field is None else [item for item in _literals(field.annotation) if isinstance(item, str)]
    found = [
        item
        for item in variants
        if BACKBONES[name].published(config.model_validate({"name": name, "variant": item}))
    ]
    return f"{name} (variant: {' | '.join(found)})" if found else ""


def _literals(annotation: Any) -> list[Any]:
    """Return the values of all Literal types in an annotation."""
    inner = get_args(annotation)
    return [value for item in inner for value in (_literals(item) if get_args(item) else [item])]
