"""Stand-in for Slicer's module SampleData: a source is fetched as a file, or on a click by its own function."""

from __future__ import annotations

import types
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer


class SampleData:
    """Takes the place of the module; a script's download asks no source for its `customDownloader`, as in Slicer.

    Parameters
    ----------
    cache : Path
        Folder for files that were fetched; one that is there is not fetched again.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.sources: dict[str, Any] = {}
        self.rules: list[Callable[[str], str]] = []
        self.SampleDataLogic = types.SimpleNamespace(
            registerCustomSampleDataSource=self._register,
            registerUrlRewriteRule=lambda name, rule: self.rules.append(rule),
        )

    def _register(
        self,
        category: str = "Custom",
        sampleName: str | None = None,
        uris: str | None = None,
        fileNames: str | None = None,
        nodeNames: str | None = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
    ) -> None:
        assert all(isinstance(text, str) for text in (uris, fileNames, nodeNames))  # it takes the length of their lists
        self.sources[sampleName] = types.SimpleNamespace(
            category=category,
            uri=uris,
            file=fileNames,
            node=nodeNames,
            download=customDownloader,
            thumbnailFileName=thumbnailFileName,
        )

    def click(self, name: str) -> None:
        """Click the button of a source."""
        source = self.sources[name]
        if source.download is not None:
            source.download(source)
        else:
            self._fetch(source)

    def downloadSamples(self, name: str) -> list[Any]:
        return self._fetch(self.sources[name])

    def downloadSample(self, name: str) -> Any:
        return self.downloadSamples(name)[0]

    def _fetch(self, source: Any) -> list[Any]:
        address, path = source.uri, self.cache / source.file
        for rule in self.rules:
            address = rule(address)
        if not path.exists() or path.stat().st_size == 0:
            urllib.request.urlretrieve(address, path)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", source.node)
        if not storage.ReadData(node):
            slicer.mrmlScene.RemoveNode(node)
            return []
        node.CreateDefaultDisplayNodes()
        return [node]
