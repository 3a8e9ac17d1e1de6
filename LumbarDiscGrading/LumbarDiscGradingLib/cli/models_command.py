"""The command ``models``: list, show and install trained models. Offline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..models.folder import TrainedModel


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command and its sub-commands; each sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "models",
        help="list, show or install trained models",
        description="Work with trained models: the built-in ones and those in the user's model folder.",
    )
    commands = parser.add_subparsers(dest="models_command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list all models", description="List the installed models.")
    listing.set_defaults(func=_list)
    show = commands.add_parser(
        "show",
        help="show a model's card",
        description="Check a model and its weights, and show what is known about it.",
    )
    show.add_argument("model", metavar="MODEL", help="name of an installed model, or its folder")
    show.set_defaults(func=_show)
    install = commands.add_parser(
        "install",
        help="install a model from a zip file or folder",
        description="Copy a model into the user's model folder, where panel and command line find it by its name. Its "
        "manifest and weights are checked first; nothing is downloaded.",
    )
    install.add_argument("source", type=Path, metavar="ZIP|FOLDER", help="the model to install")
    install.set_defaults(func=_install)


def _list(_: argparse.Namespace) -> int:
    from ..models.store import available_models, default_model_names, unusable_models

    defaults = default_model_names()
    for model in available_models():
        default = " (default)" if model.origin == "built-in" and defaults.get(model.task) == model.name else ""
        print(f"{model.name}  {model.version}  {model.task}  {model.origin}{default}")
    problems = unusable_models()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _show(arguments: argparse.Namespace) -> int:
    from ..models.store import open_model

    model = open_model(arguments.model)
    model.load("cpu")
    print("\n".join(_description(model)))
    if model.card:
        print("\n" + model.card)
    return 0


def _install(arguments: argparse.Namespace) -> int:
    from ..models.store import install_model

    model = install_model(arguments.source)
    print(f"Installed {model.name} {model.version} for {model.task} in {model.folder}.")
    return 0


def _description(model: TrainedModel) -> list[str]:
    manifest = model.manifest
    lines = [
        f"Name:      {model.name} {model.version} ({manifest['created']})",
        f"Task:      {model.task}",
        f"Folder:    {model.folder} ({model.origin})",
        f"Network:   {manifest['architecture']['class']}",
        f"Outputs:   {', '.join(manifest['outputs'])}",
        f"Licence:   {manifest['licence']}",
        f"SHA-256:   {model.sha256}",
        *(f"Data:      {data['name']}, {data['licence']}. {data['attribution']}" for data in manifest["training_data"]),
        *(f"Measured:  {_metric(metric)}" for metric in manifest["metrics"]),
        f"Notice:    {manifest['research_use']}",
    ]
    return lines


def _metric(metric: dict[str, Any]) -> str:
    interval = " ({:.3f}, {:.3f})".format(*metric["interval"]) if metric["interval"] else ""
    return f"{metric['name']} {metric['value']:.3f}{interval}, n = {metric['n']}, {metric['data']}"
