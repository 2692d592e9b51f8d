"""Text of a certain form: a refusal describes the form in words and never shows a regular expression."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Like:
    """A field's annotation: its whole text must match a pattern.

    Attributes:
        pattern: The regular expression; it is in the JSON Schema, where editors use it.
        words: The form in words, for the message: "must be ...".
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text after its type and length."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the form; `patternErrorMessage` is the message that VS Code shows."""
        return handler(schema) | {"pattern": f"^{self.pattern}$", "patternErrorMessage": f"must be {self.words}"}

    def _check(self, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(self.pattern, text):
            raise ValueError(f"must be {self.words}")
        return text
