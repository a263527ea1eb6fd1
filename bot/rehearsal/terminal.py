"""The table in a terminal: what is said scrolls by, what still streams stands above the line being typed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.filters import Condition, has_completions, is_done
from prompt_toolkit.formatted_text import ANSI, to_formatted_text
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.widgets import TextArea

from bot.errors import TableError
from bot.rehearsal.events import (
    InteractionFailed,
    MessageCreated,
    MessageDeleted,
    MessageEdited,
    ThreadCreated,
    TypingStarted,
)
from bot.rehearsal.interactions import Interaction
from bot.rehearsal.messages import Message
from bot.rehearsal.terminal_client import Left, Told
from bot.rehearsal.terminal_completion import suggest
from bot.rehearsal.terminal_feed import GIVES_UP, SETTLES, Entry, Feed
from bot.rehearsal.terminal_line import LINE_LIMIT, Say, Word, parse_line
from bot.rehearsal.terminal_modal import field_value, question
from bot.rehearsal.terminal_paint import paint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from bot.clock import Clock
    from bot.rehearsal.events import Event
    from bot.rehearsal.modal_forms import Field, Modal
    from bot.rehearsal.play_bot import BotProcess
    from bot.rehearsal.terminal_client import TerminalClient

WELCOME = """\
You are {player}, in #{channel}, with {others} at the table.
Try this, and then just talk:  /scene start title:"The Drowned Bell"
Tab completes, /keys helps, Ctrl-D leaves, /as Bob speaks as Bob.
Every rehearsal is fresh: nothing of it is kept. The bot's log: {log}"""

_TYPING_LASTS = 10.0
_TICK = 0.25
_MENU_ROWS = 7
_LEAST_LIVE_ROWS = 3


class _Suggestions(Completer):
    """Shows prompt_toolkit what could be typed next."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:  # noqa: ARG002  prompt_toolkit's signature
        return []  # everything is asked below, where the bot can be waited for

    async def get_completions_async(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002  prompt_toolkit's signature
    ) -> AsyncGenerator[Completion, None]:
        if self._terminal.asking:
            return
        for found in await suggest(document.text_before_cursor, self._terminal.client):
            yield Completion(found.text, -found.replaces, display=found.shown, display_meta=found.about)


class Terminal:
    """One sitting at the table. `input` and `output` are the terminal's own unless given."""

    def __init__(
        self,
        client: TerminalClient,
        bot: BotProcess,
        clock: Clock,
        *,
        input: Input | None = None,  # noqa: A002  prompt_toolkit's own name for it
        output: Output | None = None,
    ) -> None:
        self.client = client
        self._bot = bot
        self._clock = clock
        self._feed = Feed()
        self._typing: dict[str, float] = {}
        self._typed: asyncio.Queue[str] = asyncio.Queue()
        self._form: asyncio.Queue[str | None] | None = None
        self._question = ""
        self._moved = asyncio.Event()
        self._app = self._application(input, output)

    @property
    def asking(self) -> bool:
        """Whether the line being typed is an answer to a form."""
        return self._form is not None

    async def run(self) -> int:
        """Sit until the player leaves: exit code 0, or 1 if the bot ended before."""
        self._aside(self._welcome())
        work = (self._follow(self.client.room.cursor), self._obey(), self._refresh(), self._outlive())
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            task.add_done_callback(self._broken)
        try:
            return await self._app.run_async(set_exception_handler=False)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._print([paint(entry, self._columns()) for entry in self._feed.live])

    def _welcome(self) -> str:
        me, *others = self.client.players()
        return WELCOME.format(
            player=me, channel=self.client.channel.name, others=", ".join(others), log=self._bot.log_path
        )

    # What the room tells

    async def _follow(self, since: int) -> None:
        async for event in self.client.room.watch(since=since):
            self._note(event)
            self._moved.set()

    def _note(self, event: Event) -> None:
        now = self._clock.monotonic()
        match event:
            case MessageCreated(message=message) | MessageEdited(message=message):
                self._show(message, now)
            case MessageDeleted(message=message):
                self._feed.remove(message.id)
            case TypingStarted(user=user) if user.bot:
                self._typing[user.name] = now + _TYPING_LASTS
            case ThreadCreated(thread=thread):
                self._aside(f"A thread was opened: /channel {thread.name}")
            case InteractionFailed(interaction=call):
                self._aside(f"⚠ {call.application.name} did not answer {call.name}.")

    def _show(self, message: Message, now: float) -> None:
        ours = self.client.is_bot(message)
        if ours:
            self._typing.pop(self.client.application.user.name, None)
        text = "is thinking …" if message.loading else self.client.text(message)
        if not text:
            return
        streams = ours and message.interaction is None
        holds = GIVES_UP if message.loading else SETTLES if streams else 0.0
        entry = Entry(self._heading(message), text, now, holds, private=message.ephemeral)
        self._feed.message(message.id, entry)

    def _heading(self, message: Message) -> str:
        elsewhere = message.channel is not self.client.channel
        return self.client.speaker(message) + (f" in #{message.channel.name}" if elsewhere else "")

    # What the player types

    def _accept(self, buffer: Buffer) -> bool:
        if self._form is not None:
            self._form.put_nowait(buffer.text)
        else:
            self._typed.put_nowait(buffer.text)
        return False

    async def _obey(self) -> None:
        while True:
            line = await self._typed.get()
            try:
                if line.strip():
                    await self._do(line.strip())
            except TableError as error:
                self._aside(f"⚠ {error}")

    async def _do(self, line: str) -> None:
        if len(line) > LINE_LIMIT:
            raise TableError(f"A line has at most {LINE_LIMIT} characters.")
        typed = parse_line(line)
        if not isinstance(typed, Say | Word):
            self._feed.aside(line, self._clock.monotonic(), speaker=self.client.member.name)
        match await self.client.perform(typed):
            case Left():
                self._leave(0)
            case Told(text):
                self._aside(text)
            case Interaction() as call:
                await self._see_through(call)
            case Message():
                pass  # the room shows it, like everybody's

    async def _see_through(self, call: Interaction) -> None:
        """Wait for the first response, and fill in the form if it is one."""
        await _first_response(call)
        while call.modal is not None:
            call = await self.client.submit(call, await self._fill(call.modal))
            await _first_response(call)

    async def _fill(self, modal: Modal) -> dict[str, Any]:
        self._aside(f"{modal.title} (a form; Ctrl-C closes it)")
        answers = self._form = asyncio.Queue()
        try:
            return {field.custom_id: await self._field(field, answers) for field in modal.fields}
        finally:
            self._form = None
            while not answers.empty():  # typed ahead, past the last field
                self._typed.put_nowait(answers.get_nowait() or "")

    async def _field(self, field: Field, answers: asyncio.Queue[str | None]) -> str | bool | list[str] | None:
        self._question = question(field)
        while True:
            self._app.invalidate()
            typed = await answers.get()
            if typed is None:
                raise TableError("The form is closed; nothing was sent.")
            try:
                value = field_value(field, typed.strip(), self.client.names)
            except TableError as error:
                self._aside(f"⚠ {error}")
            else:
                self._aside(f"{question(field)}{typed}")
                return value

    def _interrupt(self) -> None:
        if self._form is not None:
            self._form.put_nowait(None)
        elif self._app.current_buffer.text:
            self._app.current_buffer.reset()
        else:
            self._aside("Ctrl-D or /quit leaves the table.")

    # What is on the screen

    def _aside(self, text: str) -> None:
        self._feed.aside(text, self._clock.monotonic())
        self._moved.set()

    async def _refresh(self) -> None:
        """Let settled messages scroll away and redraw the rest, when something moved or may have settled."""
        while True:
            now = self._clock.monotonic()
            self._typing = {name: until for name, until in self._typing.items() if until > now}
            done = [paint(entry, self._columns()) for entry in self._feed.settled(now)]
            if done:
                await run_in_terminal(partial(self._print, done))
            self._app.invalidate()
            self._moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), _TICK if self._feed.live or self._typing else None)

    def _print(self, blocks: list[str]) -> None:
        for block in blocks:
            print_formatted_text(ANSI(block), output=self._app.output)

    def _live(self) -> StyleAndTextTuples:
        lines = [line for entry in self._feed.live for line in paint(entry, self._columns()).split("\n")]
        lines += [f"\x1b[2m{name} is thinking …\x1b[0m" for name in self._typing]
        most = max(_LEAST_LIVE_ROWS, self._app.output.get_size().rows - _MENU_ROWS - 2)
        return to_formatted_text(ANSI("\n".join(lines[-most:])))

    def _prompt(self) -> StyleAndTextTuples:
        if self._form is not None:
            return [("bold", self._question)]
        return [("bold", self.client.member.name), ("", f" in #{self.client.channel.name}> ")]

    def _columns(self) -> int:
        return self._app.output.get_size().columns

    def _application(self, source: Input | None, output: Output | None) -> Application[int]:
        field = TextArea(
            prompt=self._prompt,
            completer=_Suggestions(self),
            complete_while_typing=True,
            history=InMemoryHistory(),
            accept_handler=self._accept,
            height=Dimension(min=1, max=8),
            dont_extend_height=True,
        )
        live = Window(FormattedTextControl(self._live), dont_extend_height=True, wrap_lines=True)
        room_for_menu = ConditionalContainer(Window(height=_MENU_ROWS), has_completions & ~is_done)
        menu = Float(CompletionsMenu(max_height=_MENU_ROWS), xcursor=True, ycursor=True)
        something = ConditionalContainer(live, Condition(lambda: bool(self._feed.live or self._typing)))
        root = FloatContainer(HSplit([something, field, room_for_menu]), floats=[menu])
        return Application(
            Layout(root, focused_element=field),
            key_bindings=self._keys(),
            input=source,
            output=output,
            erase_when_done=True,
        )

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def _(_event: KeyPressEvent) -> None:
            self._interrupt()

        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            if not event.current_buffer.text:
                self._leave(0)

        return keys

    # How it ends

    def _leave(self, code: int) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit(result=code)

    async def _outlive(self) -> None:
        await self._bot.ended()
        self._aside(f"⚠ {self._bot.obituary()}")
        self._leave(1)

    def _broken(self, task: asyncio.Task[None]) -> None:
        """End with the error of a part that broke: a screen that no longer moves helps nobody."""
        if not task.cancelled() and (error := task.exception()) is not None and self._app.is_running:
            self._app.exit(exception=error)


async def _first_response(call: Interaction) -> None:
    with suppress(TableError):  # that there was none is an event of the room, and shown as such
        await call.responded(None)
