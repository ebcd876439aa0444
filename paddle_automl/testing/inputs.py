"""The contract of inputs."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.inputs.base import Fitted, Input, InputConfig, Reader, Source, batched
from paddle_automl.testing.arrays import fits, same
from paddle_automl.testing.options import check_options, config_of
from paddle_automl.testing.sending import sent

MOST_ARRAYS = 4
"""Most arrays that an exported network may take."""


@dataclass(frozen=True)
class Case:
    """An input fitted to sources, with its reader and the items ``[N, ...]`` that it read."""

    sources: list[Source]
    reader: Reader
    items: np.ndarray
    input: Input


class InputContract:
    """Tests of an input: parametrize `plugin` with its class, and override `sources`.

    `options` are its required options, if any. An input that accepts items in memory also overrides `items`, and
    one that can read everything, such as any text, overrides `unreadable`.
    """

    options: ClassVar[dict[str, Any]] = {}

    def sources(self, plugin: type[Input], folder: Path) -> list[Source]:
        """Return about ten sources with different content; files are created in `folder`."""
        del folder
        pytest.fail(f"override sources(): return some sources that {plugin.__name__} reads")

    def items(self, plugin: type[Input]) -> np.ndarray | None:
        """Return items in memory in the form of a data set, or None if the input only reads sources."""
        del plugin
        return None

    def unreadable(self, plugin: type[Input], folder: Path) -> list[Source]:
        """Return sources that cannot be read; messages must name them with a text that contains "unreadable"."""
        del plugin
        return [folder / "unreadable 没有"]

    def config(self, plugin: type[Input]) -> Any:
        """Return the options."""
        return config_of(plugin, self.options)

    def case(self, plugin: type[Input], folder: Path) -> Case:
        """Return the input fitted to its sources."""
        config, sources = self.config(plugin), self.sources(plugin, folder)
        assert len(sources) >= 4, f"sources() returns {len(sources)}; these tests need at least 4"
        reader = plugin.reader(config, sources=sources, items=None)
        items = reader.empty(len(sources))
        for row, source in enumerate(sources):
            items[row] = reader(source)
        return Case(sources, reader, items, self.fitted(plugin, config, reader, items))

    def fitted(self, plugin: type[Input], config: Any, reader: Reader, items: np.ndarray, size: int = 512) -> Input:
        """Return the input whose statistics were measured in batches of `size`."""
        rows = np.arange(len(items))
        return plugin.fit(config, reader, plugin.measure(config, reader, batched(items.__getitem__, rows, size)))

    def test_options_are_described(self, plugin: type[Input]) -> None:
        """Class and options have a docstring, and there is a word for one item."""
        check_options(plugin)
        assert issubclass(plugin.Config, InputConfig)
        assert issubclass(plugin.Fitted, Fitted)
        assert plugin.word.strip(), "word: the word for one item in messages"
        assert not plugin.smaller or plugin.smaller in plugin.Config.model_fields, "smaller: no option of Config"

    def test_what_is_read_depends_on_source_and_options_alone(self, plugin: type[Input], tmp_path: Path) -> None:
        """Items fit into the array that the reader makes; threads and other processes read them too."""
        case = self.case(plugin, tmp_path)
        again = plugin.reader(self.config(plugin), sources=case.sources, items=None)
        for reader in (again, sent(case.reader)):
            assert repr(reader) == repr(case.reader), "the repr of a reader is the key of its items in the cache"
            with ThreadPoolExecutor(4) as threads:
                for row, item in enumerate(threads.map(reader, case.sources)):
                    assert same(item, case.items[row]), f"{case.sources[row]} gives another item than before"
        assert not re.search(r" at 0x[0-9a-f]+", repr(case.reader)), "the repr must be the same in any process"

    def test_a_server_knows_what_it_may_take(self, plugin: type[Input], tmp_path: Path) -> None:
        """`extent` counts before reading, and indices are below the rows of their table."""
        case = self.case(plugin, tmp_path)
        if plugin.media is not None:
            assert plugin.media.types, "media.types: at least one media type"
            assert plugin.media.most > 0
            for source in case.sources:
                assert 0 <= case.input.extent(source) <= plugin.media.most
        arrays = case.input.batch(case.items)
        for spec in case.input.specs:
            rows = case.input.rows(spec.name)
            if rows is not None:
                assert np.issubdtype(np.dtype(spec.dtype), np.integer), f"{spec.name}: only integers are indices"
                assert 0 <= arrays[spec.name].min() <= arrays[spec.name].max() < rows

    def test_items_in_memory_become_those_of_the_reader(self, plugin: type[Input]) -> None:
        """A data set may provide them as an array."""
        items = self.items(plugin)
        if items is None:
            pytest.skip("it only reads sources")
        reader = plugin.reader(self.config(plugin), sources=None, items=items)
        kept = copy.deepcopy(items)
        converted, empty = reader.convert(items), reader.empty(len(items))
        assert same(items, kept), "convert changes the items of the data set"
        assert (converted.dtype, converted.shape) == (empty.dtype, empty.shape)
        given = self.fitted(plugin, self.config(plugin), reader, converted)
        check_arrays(given, given.batch(converted), len(items))

    def test_batches_hold_the_promised_arrays(self, plugin: type[Input], tmp_path: Path) -> None:
        """In the order of `specs`, for any number of items, which do not change."""
        case = self.case(plugin, tmp_path)
        specs = case.input.specs
        assert 1 <= len(specs) <= MOST_ARRAYS, f"a network takes 1 to {MOST_ARRAYS} arrays, got {len(specs)}"
        assert len({spec.name for spec in specs}) == len(specs)
        kept = copy.deepcopy(case.items)
        arrays = case.input.batch(case.items)
        assert same(case.items, kept), "batch changes the items"
        check_arrays(case.input, arrays, len(case.items))
        check_arrays(case.input, case.input.batch(case.items[:1]), 1)
        rows = np.array([3, 1])
        few = case.input.batch(case.items[rows])
        for spec in specs:
            # An open axis may be as long as the longest item of the batch.
            if None not in spec.shape:
                np.testing.assert_allclose(few[spec.name], arrays[spec.name][rows], rtol=1e-5, atol=1e-6)

    def test_statistics_do_not_depend_on_the_batches(self, plugin: type[Input], tmp_path: Path) -> None:
        """They are stored as JSON, and measured in batches."""
        case, config = self.case(plugin, tmp_path), self.config(plugin)
        found = plugin.measure(config, case.reader, iter([case.items]))
        stored = json.loads(json.dumps(found, allow_nan=False))
        assert plugin.fit(config, case.reader, stored).fitted == case.input.fitted
        expected = case.input.batch(case.items)
        arrays = self.fitted(plugin, config, case.reader, case.items, size=3).batch(case.items)
        for name, array in arrays.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5)

    def test_what_is_fitted_survives_json(self, plugin: type[Input], tmp_path: Path) -> None:
        """A bundle contains the fitted input, which reads and batches as in training."""
        case = self.case(plugin, tmp_path)
        assert case.input.fitted.name == plugin.name
        text = json.dumps(case.input.fitted.model_dump(mode="json"), allow_nan=False)
        case.input.save(tmp_path / "learned")
        again = plugin.restored(plugin.Fitted.model_validate(json.loads(text)), tmp_path / "learned")
        assert again.fitted == case.input.fitted
        assert again.specs == case.input.specs
        assert again.same_items(case.input)
        for row, source in enumerate(case.sources):
            assert same(again.read(source), case.items[row]), f"{source} is not read as in training"
        expected = case.input.batch(case.items)
        assert all(same(array, expected[name]) for name, array in again.batch(case.items).items())

    def test_arrays_of_many_items_are_those_of_batches(self, plugin: type[Input], tmp_path: Path) -> None:
        """An input that encodes all items at once gives the arrays of each batch."""
        case = self.case(plugin, tmp_path)
        encoded = case.input.encode(case.items)
        if encoded is None:
            return
        rows = np.array([3, 1])
        expected = case.input.batch(case.items[rows])
        for spec in case.input.specs:
            assert spec.shape == (None,), f"{spec.name}: only arrays with one open axis can be encoded"
            assert len(encoded[spec.name]) == len(case.items)
            assert same(encoded[spec.name].padded(rows, spec.dtype), expected[spec.name])

    def test_a_network_may_take_some_of_the_arrays(self, plugin: type[Input], tmp_path: Path) -> None:
        """An array that the input does not have is refused, with the key of the network."""
        given = self.case(plugin, tmp_path).input
        names = [spec.name for spec in given.specs]
        assert given.only(names).specs == given.specs
        with pytest.raises(ConfigError, match=r"model\.backbone: .*no such array"):
            given.only(["no such array"])

    def test_other_data_are_read_with_the_stated_options(self, plugin: type[Input], tmp_path: Path) -> None:
        """An evaluation on other data reads them as in training."""
        case = self.case(plugin, tmp_path)
        stated = case.input.stated()
        if stated is None:
            return
        assert isinstance(stated, plugin.Config)
        reader = plugin.reader(stated, sources=case.sources[:1], items=None)
        assert same(reader(case.sources[0]), case.items[0])

    def test_written_items_are_found_and_read_again(self, plugin: type[Input], tmp_path: Path) -> None:
        """A bundle holds some of them as samples, whose paths are given to the command `predict`."""
        case = self.case(plugin, tmp_path)
        folder = tmp_path / "样本 samples"
        folder.mkdir()
        for row in range(3):
            file = case.input.write(case.items[row], folder / f"{row:03d}")
            assert file.parent == folder
            assert file.name.startswith(f"{row:03d}")
            assert file.is_file()
            assert same(case.input.read(file), case.items[row]), f"{file.name} does not hold the written item"
            for path in (file, str(file)):
                (found,) = case.input.find([path])
                assert same(case.input.read(found), case.items[row])

    def test_nothing_is_found_in_nothing(self, plugin: type[Input], tmp_path: Path) -> None:
        """A command without sources is a mistake."""
        with pytest.raises(DataError):
            self.case(plugin, tmp_path).input.find([])

    def test_sources_that_cannot_be_read_are_named(self, plugin: type[Input], tmp_path: Path) -> None:
        """Both for training and for prediction."""
        case = self.case(plugin, tmp_path)
        for source in self.unreadable(plugin, tmp_path):
            for read in (case.reader, case.input.read):
                with pytest.raises(DataError, match="unreadable"):
                    read(source)

    def test_sources_have_a_text_in_tables(self, plugin: type[Input], tmp_path: Path) -> None:
        """Logs and CSV files name them."""
        case = self.case(plugin, tmp_path)
        for source in case.sources:
            text = case.input.describe(source)
            assert isinstance(text, str)
            assert text.strip()

    def test_examples_are_like_batches(self, plugin: type[Input], tmp_path: Path) -> None:
        """Times are measured with them; they depend only on the generator."""
        given = self.case(plugin, tmp_path).input
        for count in (1, 5):
            arrays = given.example(count, np.random.default_rng(1))
            check_arrays(given, arrays, count)
            again = given.example(count, np.random.default_rng(1))
            assert all(same(array, again[name]) for name, array in arrays.items())

    def test_smaller_batches_are_batches_or_refused(self, plugin: type[Input], tmp_path: Path) -> None:
        """If there is no resolution, the message names the key of the option."""
        case = self.case(plugin, tmp_path)
        arrays = case.input.batch(case.items)
        whole = case.input.shrink(arrays, 1)
        assert list(whole) == list(arrays)
        assert all(same(array, arrays[name]) for name, array in whole.items())
        half, refusal = None, ""
        try:
            half = case.input.shrink(arrays, 0.5)
        except ConfigError as error:
            refusal = str(error)
        if half is None:
            assert "training.progressive.resolution" in refusal
            return
        assert list(half) == list(arrays)
        assert all(len(half[name]) == len(array) for name, array in arrays.items())
        assert all(half[name].dtype == array.dtype for name, array in arrays.items())

    def test_facts_are_a_number_per_item(self, plugin: type[Input], tmp_path: Path) -> None:
        """For checks of data."""
        case = self.case(plugin, tmp_path)
        for name, values in case.input.facts(case.items).items():
            assert values.shape == (len(case.items),), name
            assert np.isfinite(values).all(), name


def check_arrays(given: Input, arrays: Mapping[str, np.ndarray], count: int) -> None:
    """Assert that the arrays of `count` items are those of `specs`, in their order, and finite."""
    assert list(arrays) == [spec.name for spec in given.specs], "arrays in another order than specs"
    for spec in given.specs:
        array = arrays[spec.name]
        assert array.dtype == np.dtype(spec.dtype), f"{spec.name}: {array.dtype}, declared {spec.dtype}"
        assert fits(array.shape, (count, *spec.shape)), f"{spec.name}: {array.shape}, declared {spec.shape}"
        if array.dtype.kind == "f":
            assert np.isfinite(array).all(), f"{spec.name} is not finite"
