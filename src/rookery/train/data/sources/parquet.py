"""Parquet tables: a record in each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rookery.errors import FormatError, MissingExtra
from rookery.train.data.sources.base import Document, Source, named
from rookery.train.data.sources.records import CONVERSATIONS, TEXT, record_pieces

__all__ = ["Parquet"]

_ROWS = 1024  # in memory at a time


class Parquet(Source):
    """`.parquet`, a few rows at a time, of the column that is read."""

    def documents(self) -> Iterator[Document]:
        file = self._opened()
        names = file.schema_arrow.names
        wanted = self.options.field or next((name for name in (*CONVERSATIONS, TEXT) if name in names), None)
        if wanted is None or wanted not in names:
            listed = ", ".join(map(repr, names[:12]))
            raise FormatError(f"{self.path}: no column {wanted or TEXT!r}; it has {listed}; name the one to read")
        rows = max(1, file.metadata.num_rows)
        for number, record in enumerate(self._records(file, wanted), 1):
            where = f"{self.path}, row {number}"
            yield Document(record_pieces(record, self.options, where), where, self.size * number // rows)

    def _opened(self) -> Any:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtra(f"{self.path}: reading parquet needs pyarrow; install it: pip install pyarrow") from None
        try:
            with named(self.path):
                return pyarrow.parquet.ParquetFile(self.path)
        except pyarrow.ArrowException as error:
            raise self._damaged(error) from None

    def _records(self, file: Any, column: str) -> Iterator[Any]:
        import pyarrow

        try:
            for batch in file.iter_batches(_ROWS, columns=[column]):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> FormatError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return FormatError(f"{self.path}: not a parquet file that can be read ({reason}); fetch it again")
