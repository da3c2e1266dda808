"""What belongs to weights that were loaded, as the metadata of a file that they are written to."""

from __future__ import annotations

from contextlib import suppress

from resnet_spec import compiler
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import ResnetSpecError, Source
from resnet_spec.weights.metadata import (
    WeightsFacts,
    facts_from_metadata,
    facts_to_metadata,
    preparation_text,
    to_metadata,
)
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.source import preparation_of, source_of


def describe_weights(analysis: Analysis, stored: StoredWeights) -> dict[str, str]:
    """Describe weights of a network: name, fingerprint, source and license; and spec, classes and preparation as far as known.

    Weights that `train` wrote for this network keep everything that it stored with them.
    """
    with suppress(KeyError, ValueError, TypeError, OverflowError, RecursionError):
        facts = facts_from_metadata(stored.metadata, analysis.spec.name)
        if facts.fingerprint == analysis.fingerprint:
            return facts_to_metadata(facts)
    source, license = source_of(stored)
    classes = None if stored.origin is None else stored.origin.classes
    preparation = preparation_of(stored, analysis.input[0])
    text = _spec_text(analysis)
    if classes is not None and preparation is not None and text and analysis.output == (len(classes),):
        name, fingerprint = analysis.spec.name, analysis.fingerprint
        facts = WeightsFacts(
            *(name, fingerprint, text, classes, preparation),
            recipe="",
            data="",
            epoch=0,
            step=0,
            source=source,
            license=license,
        )
        return facts_to_metadata(facts)
    heads = {"name": analysis.spec.name, "fingerprint": analysis.fingerprint, "spec": text}
    return to_metadata(heads | {"preparation": preparation_text(preparation), "source": source, "license": license})


def _spec_text(analysis: Analysis) -> str:
    """The spec of a network as one document; empty if that is another network, as with other outputs than the spec's."""
    try:
        text = compiler.flatten_text(compiler.find(analysis.spec), (), analysis.spec.name)
        again = compiler.analyze(Target(Source(analysis.spec.name, text), None, None), enforce_expect=False)
    except ResnetSpecError:
        return ""
    return text if again.fingerprint == analysis.fingerprint else ""
