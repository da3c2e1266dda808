"""The shipped blocks are valid: the compiler reads them without checking them again."""

from __future__ import annotations

import pytest

from resnet_spec.language.library import library_block, library_block_names
from resnet_spec.language.spec import library
from resnet_spec.language.validation import validate_block


@pytest.mark.parametrize("name", library_block_names())
def test_a_library_block_is_valid(name: str) -> None:
    body = library_block(name)
    assert body is not None
    assert validate_block(body).findings == ()
    block = library(name)
    assert block is not None
    assert block.about
    assert block.branch
