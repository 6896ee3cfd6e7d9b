"""`diffu train`: trains models, each way of training a subcommand."""

import typer

from diffucli.cli.configured import Configured
from diffucli.cli.train import grpo, mini, sft

app = typer.Typer(help="Train a model: on tasks with tests, on your own code, or mini anew.", no_args_is_help=True)
app.command("grpo", cls=Configured, epilog=grpo.EXAMPLES)(grpo.grpo)
app.command("sft", cls=Configured, epilog=sft.EXAMPLES)(sft.sft)
app.command("mini", cls=Configured, epilog=mini.EXAMPLES)(mini.mini)
