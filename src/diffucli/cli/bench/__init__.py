"""`diffu bench`: what speed and quality cost, each measurement a subcommand."""

import typer

from diffucli.cli.bench import fill, quality, shape, speed, start

app = typer.Typer(help="Measure speed, quality, startup and the cost of a step on this machine.", no_args_is_help=True)
app.command("speed")(speed.speed)
app.command("quality")(quality.quality)
app.command("fill")(fill.fill)
app.command("start")(start.start)
app.command("shape")(shape.shape)
