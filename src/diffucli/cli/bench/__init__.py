"""`diffu bench`: what speed and quality cost, each measurement a subcommand."""

import typer

from diffucli.cli.bench import fill, quality, shape, speed, start

app = typer.Typer(help="Measure speed, quality, startup and the cost of a step on this machine.", no_args_is_help=True)
app.command("speed", epilog=speed.EXAMPLES)(speed.speed)
app.command("quality", epilog=quality.EXAMPLES)(quality.quality)
app.command("fill", epilog=fill.EXAMPLES)(fill.fill)
app.command("start", epilog=start.EXAMPLES)(start.start)
app.command("shape", epilog=shape.EXAMPLES)(shape.shape)
