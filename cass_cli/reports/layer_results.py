"""What `cass feature-maps` and `cass similarity` leave behind: figures, a CSV, a table, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from cass_cli.engine.looking.feature_maps import FeatureMaps, FeatureResult
from cass_cli.engine.looking.similarity import SimilarityResult
from cass_cli.reports.csv_files import numbers, write_csv
from cass_cli.reports.layer_plots import plot_first_layer, plot_layers, plot_similarity
from cass_cli.reports.look_results import pictures_of, print_look_json, show_end, shown_rows
from cass_cli.reports.printing import Screen
from cass_cli.reports.tables import plain_table, print_table, with_interval

FEATURED = 3  # images in the feature figure


def draw_features(result: FeatureResult, folder: Path, *, pdf: bool) -> list[Path]:
    """Write the figures and the CSV of `result` into `folder` and return their paths."""
    look, files = result.look, list[Path]()
    rows = shown_rows(look.sample, FEATURED)
    pictures, titles = pictures_of(look, rows)
    for arm, shown in look.after.items():
        maps = [m for m in result.maps if m.arm == arm]
        first = [(m.label, m.maps[0][rows]) for m in maps]
        name, path = f"{shown.model}: {maps[-1].layers[0]}", folder / f"features-first-{arm}.png"
        files += plot_first_layer(pictures, titles, first, path, title=f"First layer of {name}", pdf=pdf)
        lines = [(m.label, [layer[rows[0]] for layer in m.maps]) for m in maps]
        title = f"{shown.model}: first {len(maps[-1].layers)} layers, image “{titles[0]}”"
        path = folder / f"features-layers-{arm}.png"
        files += plot_layers(maps[-1].layers, lines, path, title=title, pdf=pdf)
    csv_rows = (
        [name, look.sample.label(i), m.arm, m.label, layer, *numbers((m.intensity[i, k], m.edges[i, k]))]
        for m in result.maps
        for i, name in enumerate(look.sample.table.names)
        for k, layer in enumerate(m.layers)
    )
    header = ["image", "class", "arm", "weights", "layer", "intensity", "edges"]
    return [*files, write_csv(folder / "feature-maps.csv", header, csv_rows)]


def show_features(result: FeatureResult, files: Sequence[Path], *, as_json: bool) -> None:
    """Print how strongly each layer answers and how well its edges follow the image's."""
    if as_json:
        print_look_json(result.look, files, result.notes, models=[_features_dict(m) for m in result.maps])
        return
    console = Screen()
    for arm, shown in result.look.after.items():
        maps = [m for m in result.maps if m.arm == arm]
        table = plain_table(f"{arm}  {shown.model}", ["layer", "weights", "intensity", "edges"])
        for k, layer in enumerate(maps[-1].layers):
            for m in maps:
                cells = (f"{m.intensities[k].value:.3f}", with_interval(m.edge_means[k], digits=2))
                table.add_row(layer if m is maps[0] else "", escape(m.label), *cells)
        print_table(console, table)
        console.print()
    console.print("intensity  mean |activation| over channels and positions", style="dim")
    console.print("edges      correlation of the map's edges with the image's; 1 = all detail kept", style="dim")
    show_end(console, result.notes, files)


def _features_dict(maps: FeatureMaps) -> dict[str, Any]:
    layers = [
        {"layer": layer, "intensity": maps.intensities[k].as_dict(), "edges": maps.edge_means[k].as_dict()}
        for k, layer in enumerate(maps.layers)
    ]
    return {"arm": maps.arm, "weights": maps.label, "model": maps.model, "layers": layers}


def draw_similarity(result: SimilarityResult, folder: Path, *, pdf: bool) -> list[Path]:
    """Write the heat map and the CSV of `result` into `folder` and return their paths."""
    panels = [(pair.label, pair.layers, pair.cka) for pair in result.pairs]
    where = f"{len(result.look.sample)} {result.look.split or 'own'} images"
    title = f"{' and '.join(result.models.values())}: linear CKA of their layers, {where}"
    files = plot_similarity(panels, folder / "similarity.png", title=title, pdf=pdf)
    rows = (
        [a.arm, a.name, b.arm, b.name, pair.label, *numbers([pair.cka[i, j]])]
        for pair in result.pairs
        for i, a in enumerate(pair.layers)
        for j, b in enumerate(pair.layers)
        if j >= i
    )
    header = ["arm", "layer", "other_arm", "other_layer", "weights", "cka"]
    return [*files, write_csv(folder / "similarity.csv", header, rows)]


def show_similarity(result: SimilarityResult, files: Sequence[Path], *, as_json: bool) -> None:
    """Print how alike the arms are at the end, on average over layers, and at their most alike layers."""
    values = [_similarity_dict(result, i) for i in range(len(result.pairs))]
    if as_json:
        print_look_json(result.look, files, result.notes, models=dict(result.models), pairs=values)
        return
    console = Screen()
    table = plain_table(" and ".join(result.models.values()), ["CKA between the arms", *(v["weights"] for v in values)])
    for key, name in (("features", "features before the heads"), ("mean", "mean over pairs of layers")):
        table.add_row(name, *(f"{v[key]:.3f}" for v in values))
    table.add_row("most alike pair", *(f"{v['highest']:.3f}  {' / '.join(v['layers'])}" for v in values))
    print_table(console, table)
    console.print()
    for note in result.notes:
        console.print(f"• {escape(note)}", style="dim")
    for file in files:
        console.print(escape(str(file)), soft_wrap=True)


def _similarity_dict(result: SimilarityResult, index: int) -> dict[str, Any]:
    pair = result.pairs[index]
    across = pair.across
    i, j = np.unravel_index(np.nanargmax(across), across.shape)
    return {
        "weights": pair.label,
        "features": float(across[-1, -1]),
        "mean": float(np.nanmean(across)),
        "highest": float(across[i, j]),
        "layers": [pair.layers[i].name, pair.layers[len(across) + j].name],
    }
