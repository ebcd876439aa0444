"""Smaller tables of n-grams."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from paddle_automl.compression.base import STEPS, Outcome, Step
from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import copy_of
from paddle_automl.core.errors import UnsupportedError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.network import Network
from paddle_automl.models.text.compact_table import CompactTable, largest_rows
from paddle_automl.models.text.table import NGramTable
from paddle_automl.paddle_compat.layers import replace_layer


@STEPS.register("compact_tables")
class CompactTables(Step):
    """Leaves out the smallest rows of the tables of n-grams, and stores the others in 8 bits.

    Nothing is trained. An n-gram that is left out says nothing any more, but the weights of the others in a text
    stay as they were.
    """

    class Config(PluginConfig):
        """How much is kept."""

        keep: int | None = Field(30_000, ge=10)
        """Rows of each table that are kept, those with the largest numbers; null keeps all."""

        bits: Literal[8, 32] = 8
        """Bits of a number in the table; 8 takes a quarter of the space, with a scale for each row."""

    config: Config
    takes: ClassVar[frozenset[str]] = frozenset({"text"})

    def apply(self, model: Network, context: Context) -> Outcome:  # noqa: D102
        compact = copy_of(model)
        tables = [(name, layer) for name, layer in compact.named_sublayers() if isinstance(layer, NGramTable)]
        if not tables:
            raise UnsupportedError(
                "compact_tables: the network has no table of n-grams; linear_ngrams, wide, bag and sums of them do"
            )
        facts = {}
        for name, table in tables:
            kept = largest_rows(table.weight.numpy(), self.config.keep)
            replace_layer(compact, name, CompactTable(table, kept, eight_bits=self.config.bits == 8))
            facts[name] = {"rows": int(table.weight.shape[0]) - 1, "kept": len(kept), "bits": self.config.bits}
        compact.eval()
        return Outcome(compact, {"tables": facts})
