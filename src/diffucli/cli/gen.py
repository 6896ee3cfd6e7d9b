"""`diffu gen`: new code from a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.options import Live, Preset, Quant, Verify
from diffucli.cli.report import Report, run_values, say
from diffucli.errors import Unparsable, UsageError


def gen(
    prompt: Annotated[str | None, typer.Argument(help="What to write; `-` or nothing reads it from stdin.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Read the request from this file.")] = None,
    context: Annotated[
        list[Path] | None, typer.Option("-c", "--context", help="A file for the model to look at.")
    ] = None,
    length: Annotated[int | None, typer.Option("--length", min=1, help="Masks for the answer (256).")] = None,
    lang: flag.Language = None,
    output: flag.Output = None,
    verify: flag.Verification = Verify.error,
    model: flag.Model = None,
    quant: flag.Quantise = Quant.auto,
    device: flag.Device = "auto",
    preset: flag.Presets = Preset.balanced,
    seed: flag.Seed = None,
    steps: flag.Steps = None,
    temp: flag.Temperature = None,
    top_p: flag.TopP = None,
    alg: flag.Order = None,
    alg_temp: flag.AlgTemp = None,
    block: flag.Block = None,
    live: flag.LiveView = Live.auto,
    fps: flag.Fps = 20.0,
    as_json: flag.Json = False,
    quiet: flag.Quiet = False,
    verbose: flag.Verbose = False,
) -> None:
    """Write new code for a request; the code alone goes to stdout.

    Stdin beside a PROMPT is context: `diffu gen "add a docstring" < file.py`.
    """
    from diffucli.cli import session
    from diffucli.cli.outcome import save_new
    from diffucli.syntax import languages
    from diffucli.syntax.check import Verdict, check, is_substantial

    report = Report(quiet, verbose, as_json)
    language = (
        languages.by_name(lang) if lang else (output and languages.of_path(output)) or languages.by_name("python")
    )
    query = _query(prompt, file, context or [])
    choice = session.Choice(model, quant, device, preset, seed, steps, temp, top_p, alg, alg_temp, block)
    at_work = session.begin(choice, report, live=live, fps=fps)
    run = at_work.engine.generate(query, tag=language.tag, length=length)
    final, numbers = at_work.finish(run, language=language.name)
    code, ended = at_work.engine.answer_of(run, final)
    verdict = (
        Verdict(known=False, note="not checked") if verify is Verify.off else check(code, language, name="<answer>")
    )
    if not ended:
        report.warn("the canvas is full before the code came to its end; try a larger --length")
    if verify is Verify.error and (verdict.problems or not is_substantial(code, language)):
        say(code)
        where = (
            f"line {verdict.problems[0].line}: {verdict.problems[0].message}" if verdict.problems else "no code in it"
        )
        raise Unparsable(
            f"the answer does not parse: {where}", hint="try another --seed with --temp 0.4, or --verify warn"
        )
    saved = None if output is None else save_new(output, code.encode())
    if as_json:
        report.object("diffu.run/1", 0, text=code, output=saved, ended=ended, **run_values(numbers, verdict))
    elif output is None:
        streams.put(code.encode())
    report.numbers(numbers, verdict)


def _query(prompt: str | None, file: Path | None, context: list[Path]) -> str:
    """The request, followed by every context in a fence of its own."""
    from diffucli.edit import source

    contexts = [source.read(path).text for path in context]
    if file is not None:
        if prompt is not None:
            raise UsageError("a PROMPT and -f are two requests", hint="give one of them; more files go to -c")
        prompt = source.read(file).text
    if prompt in {None, "-"}:
        if prompt is None and not streams.stdin_is_given():
            raise UsageError("there is no request", hint='say what to write: diffu gen "write a quicksort"')
        prompt = streams.text_of_stdin()
    elif streams.stdin_is_given():
        contexts.append(streams.text_of_stdin())
    assert prompt is not None
    if not prompt.strip():
        raise UsageError("the request is empty", hint='say what to write: diffu gen "write a quicksort"')
    fenced = [f"```\n{text.strip()}\n```" for text in contexts if text.strip()]
    return "\n\n".join([prompt.strip(), *fenced])
