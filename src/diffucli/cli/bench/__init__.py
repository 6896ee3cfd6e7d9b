"""`diffu bench`: what speed and quality cost, each measurement a subcommand."""

import typer

from diffucli.cli.bench import fill, quality, shape, speed, start
from diffucli.cli.configured import Configured

app = typer.Typer(help="Measure speed, quality, startup and the cost of a step on this machine.", no_args_is_help=True)
app.command("speed", cls=Configured, epilog=speed.EXAMPLES)(speed.speed)
app.command("quality", cls=Configured, epilog=quality.EXAMPLES)(quality.quality)
app.command("fill", cls=Configured, epilog=fill.EXAMPLES)(fill.fill)
app.command("start", cls=Configured, epilog=start.EXAMPLES)(start.start)
app.command("shape", cls=Configured, epilog=shape.EXAMPLES)(shape.shape)
