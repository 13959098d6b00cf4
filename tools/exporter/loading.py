"""Loads a model with transformers: weights, preprocessing and tokenizer."""

from pickle import UnpicklingError
from textwrap import shorten

from tokenizers import Tokenizer, decoders, models
from transformers import (
    AutoTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    PreTrainedTokenizerFast,
)

from image_pipeline.settings import MAX_CAPTION_TOKENS
from image_processing.captions import MAX_PROMPT_TOKENS, Preprocessing
from tools.exporter import ExportError, checks
from tools.exporter.sources import Source

# Positions for the longest prompt and caption, with the token that begins every caption. The last token of a caption
# needs no position.
POSITIONS = MAX_PROMPT_TOKENS + MAX_CAPTION_TOKENS

_BICUBIC = 3
# PreTrainedTokenizerBase.clean_up_tokenization replaces these texts, in this order.
_CLEANED = (
    *((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'")),
    *((" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")),
)


def load_model(source: Source) -> BlipForConditionalGeneration:
    """Load the weights in fp32. No code is loaded. Raises ExportError."""
    is_safe = checks.weights(source.folder)[0].name != checks.PICKLED_WEIGHTS
    try:
        model, report = BlipForConditionalGeneration.from_pretrained(
            source.folder,
            local_files_only=True,
            use_safetensors=is_safe,
            weights_only=True,
            output_loading_info=True,
            # Without this option, transformers prints a table and raises an error without details.
            ignore_mismatched_sizes=True,
        )
    except UnpicklingError as error:
        raise ExportError(f"{source.folder / checks.PICKLED_WEIGHTS} contains more than weights, maybe code") from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = shorten(str(error), 300)
        raise ExportError(f"{source.folder} could not be loaded as a BLIP for captions: {reason}") from error
    if report["mismatched_keys"]:
        name, found, expected = min(report["mismatched_keys"])
        raise ExportError(
            f"{source.folder}: {name} has the shape {tuple(found)}, but config.json asks for {tuple(expected)}"
        )
    if report["missing_keys"]:
        raise ExportError(f"{source.folder} lacks weights of a BLIP for captions: {sorted(report['missing_keys'])[:3]}")
    positions = model.config.text_config.max_position_embeddings
    if positions < POSITIONS:
        raise ExportError(f"{source.folder} has text of up to {positions} tokens. At least {POSITIONS} are needed")
    # A BLIP that answers questions has all weights of a captioner too. Its config.json may not name its kind.
    if any(key.startswith("text_encoder.") for key in report["unexpected_keys"]):
        raise ExportError(f"{source.folder} is a BLIP that answers questions. Only a BLIP for captions can be exported")
    return model.float().eval()


def load_preprocessing(source: Source) -> tuple[BlipImageProcessorPil, Preprocessing]:
    """Return the image processor of transformers, and its constants for `captions.py`. Raises ExportError."""
    try:
        processor = BlipImageProcessorPil.from_pretrained(source.folder, local_files_only=True)
        config = BlipConfig.from_pretrained(source.folder, local_files_only=True)
    except Exception as error:  # transformers has no common base class for its errors
        raise ExportError(f"the preprocessing of {source.folder} cannot be read: {shorten(str(error), 200)}") from error
    side = config.vision_config.image_size
    wanted = {
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": _BICUBIC,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
    }
    found = processor.to_dict()
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ExportError(
                f"the preprocessing of {source.folder} is not supported: {name} is {found.get(name)} instead of {value}"
            )
    for name in ("do_center_crop", "do_pad"):
        if found.get(name):
            raise ExportError(f"the preprocessing of {source.folder} is not supported: {name}")
    return processor, Preprocessing(side, tuple(processor.image_mean), tuple(processor.image_std))


def load_tokenizer(source: Source) -> tuple[PreTrainedTokenizerFast, Tokenizer]:
    """Return the tokenizer of transformers, and one for `captions.py` that decodes to the same text.

    Raises ExportError.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
        ours = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # transformers and tokenizers have no common base class for their errors
        raise ExportError(f"the tokenizer of {source.folder} cannot be read: {shorten(str(error), 200)}") from error
    ours.no_padding()
    ours.no_truncation()
    # transformers does this after the decoder, so the decoder of `captions.py` must do it.
    if tokenizer.clean_up_tokenization_spaces and not isinstance(ours.model, models.BPE):
        steps = [decoders.Replace(before, after) for before, after in _CLEANED]
        ours.decoder = decoders.Sequence([*([ours.decoder] if ours.decoder else []), decoders.Fuse(), *steps])
    return tokenizer, ours
