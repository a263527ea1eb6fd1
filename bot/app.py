"""The composition root: everything is built here, once, and closed in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
from random import SystemRandom
from typing import TYPE_CHECKING

import aiohttp
import discord
import structlog

from bot.client import Hearthside
from bot.clock import Clock, SystemClock
from bot.errors import SetupError
from bot.memory.embedding import Embedding
from bot.memory.recall import Recall
from bot.memory.vectors import Vectors
from bot.model.address import parse_address
from bot.model.backends import Backends
from bot.model.embeddings import EmbeddingModel, EmbeddingServer
from bot.persona.library import PersonaLibrary
from bot.persona.personas import Personas
from bot.scene.adapters import Adapters
from bot.scene.asking import Parrots
from bot.scene.direction import Direction
from bot.scene.forgetting import Forgetting
from bot.scene.inside import Inside
from bot.scene.kept import Kept
from bot.scene.knowledge import Knowledge
from bot.scene.lineage import Lineage
from bot.scene.lore import SceneLore
from bot.scene.lorebooks import Lorebooks
from bot.scene.memories import Memories
from bot.scene.model_choices import ModelChoices
from bot.scene.prompter import Prompter
from bot.scene.recalling import Recalling
from bot.scene.reports import Reports
from bot.scene.rewriting import Rewriting
from bot.scene.stories import Stories
from bot.scene.summarising import Summarising
from bot.scene.summary_writer import SummaryWriter
from bot.scene.swaps import Swaps
from bot.scene.table import Table
from bot.scene.turn import Answering
from bot.scene.warming import Warming
from bot.scene.whispers import Whispers
from bot.stage.stage import DiscordStage
from bot.store.one_bot import one_bot
from bot.store.store import Store, warnings
from cogs.help import Help
from cogs.inside import InsideCommands
from cogs.listening import Listening
from cogs.lore import LoreCommands
from cogs.memory import MemoryCommands
from cogs.model import ModelCommands
from cogs.persona import PersonaCommands
from cogs.persona_files import PersonaFiles
from cogs.scene import SceneCommands
from cogs.secret import SecretCommands
from cogs.whisper import WhisperCommand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from random import Random

    from discord.ext import commands

    from bot.memory.embedding import Embedder
    from bot.settings import Settings

_DISCORD_AWAY = (aiohttp.ClientError, TimeoutError, discord.DiscordServerError, discord.NotFound)
"""What comes of it where there is no network yet at the start, or the address is another's."""


async def run(settings: Settings) -> None:
    """Run the bot until it is stopped.

    Raises SetupError for what the operator has to mend. Without the Message Content intent the bot says
    so and goes on with mentions, replies and commands.
    """
    point_discord_at(settings.discord_api_url)
    hush_voice_warnings()
    for warning in warnings():
        structlog.get_logger("hearthside.store").warning(warning)
    try:
        await _run(settings, listen=settings.listen)
    except discord.PrivilegedIntentsRequired:
        structlog.get_logger("hearthside").warning(
            "The Message Content intent is off, so the bot only hears mentions, replies and commands. "
            "Turn it on at https://discord.com/developers/applications > Bot, or set LISTEN=false."
        )
        await _run(settings, listen=False)


async def _run(settings: Settings, *, listen: bool) -> None:
    async with built(settings, listen=listen) as client:
        # In a task of its own: discord.py forgets that it was cancelled while it connects anew.
        running = asyncio.create_task(client.start(settings.discord_token.get_secret_value()))
        await asyncio.wait({running})
        try:
            running.result()
        except discord.LoginFailure:
            raise SetupError(
                "Discord refused the token.",
                hint="Make a new one at https://discord.com/developers/applications > Bot > Reset Token "
                "and put it into .env as DISCORD_TOKEN.",
            ) from None
        except _DISCORD_AWAY as error:
            raise SetupError(
                f"Discord does not answer at {settings.discord_api_url} ({type(error).__name__}).",
                hint="Check the network, and DISCORD_API_URL if you set it.",
            ) from None


@contextlib.asynccontextmanager
async def built(settings: Settings, *, listen: bool) -> AsyncIterator[Hearthside]:
    """Build all parts, and close them in reverse order at the end."""
    clock, rng = SystemClock(), SystemRandom()
    async with contextlib.AsyncExitStack() as closing:
        closing.enter_context(one_bot(settings.database_path))
        store = await Store.open(settings.database_path)
        closing.push_async_callback(store.aclose)
        library = PersonaLibrary(settings.personas_dir)
        personas = Personas(library, store, clock, faces=settings.database_path.parent / "faces")
        await personas.open()
        backends = make_backends(settings, clock)
        closing.push_async_callback(backends.aclose)
        client = Hearthside(store, clock, listen=listen)
        closing.push_async_callback(client.close)
        stage = DiscordStage(client, clock, settings.allowed_link_domains)
        closing.push_async_callback(stage.close)
        books = Lorebooks(store, clock)
        lore = SceneLore(store, books, personas, clock, rng)
        stories, kept = Stories(store), Kept(store)
        prompter = Prompter(store, personas, lore, stories, kept, answer_tokens=settings.answer_tokens)
        models = ModelChoices(store)
        await models.open()
        embedding = Embedding(store, Vectors(store), make_embedder(settings, clock), clock)
        closing.push_async_callback(embedding.aclose)
        recall = Recall(store, embedding.vectors, embedding)
        parrots = Parrots()
        rewriting = Rewriting(backends, models, parrots) if settings.recall_rewrite else None
        recalling = Recalling(store, recall, personas, clock, rewriting=rewriting)
        telling = prompter, lore, recalling, kept, models
        answering = Answering(store, personas, backends, stage, *telling, clock, rng)
        writing = SummaryWriter(backends, prompter, parrots)
        summarising = Summarising(store, stories, prompter, writing, personas, clock)
        warming = Warming(backends, prompter, summarising, personas, models, clock)
        closing.push_async_callback(warming.aclose)
        forgetting = Forgetting(store, clock, elsewhere=backends.forget)
        closing.push_async_callback(forgetting.aclose)
        lineage = Lineage(embedding, stories, kept, forgetting)
        table = Table(store, personas, answering, stage, warming, embedding, lineage, clock, rng)
        closing.push_async_callback(table.aclose)
        await table.open()
        backends.subscribe(table.tell_switch)
        backends.start()
        forgetting.start()
        embedding.start(busy=lambda: any(scene.answering for scene in table.scenes()))
        direction, reports = Direction(table, rng), Reports(table, backends, models, prompter)
        memories = Memories(table, stories, embedding, recall)
        files = watched_files(client, library, clock, rng)
        client.furnish(
            Listening(client, table, backends),
            SceneCommands(direction, table, reports, memories, listens=listen),
            *knowing(client, table, direction, reports, memories, stories, kept, forgetting),
            PersonaCommands(direction, table, personas, files),
            choosing(table, direction, reports, backends, models, prompter),
            LoreCommands(books, lore, table),
            InsideCommands(client, Inside(store, prompter, backends, personas, models), reports),
            Help(),
            files,
        )
        yield client


def knowing(
    client: Hearthside,
    table: Table,
    direction: Direction,
    reports: Reports,
    memories: Memories,
    stories: Stories,
    kept: Kept,
    forgetting: Forgetting,
) -> tuple[commands.Cog, ...]:
    """Build the commands about what characters know, and what nobody is to know."""
    knowledge = Knowledge(table.store, stories, kept, forgetting, table.clock)
    return (
        WhisperCommand(Whispers(table, direction), table, reports),
        MemoryCommands(client, knowledge, memories, reports),
        SecretCommands(knowledge, reports),
    )


def choosing(
    table: Table,
    direction: Direction,
    reports: Reports,
    backends: Backends,
    models: ModelChoices,
    prompter: Prompter,
) -> ModelCommands:
    """Build the commands about models."""
    swaps = Swaps(table, direction, backends, models, prompter)
    adapters = Adapters(backends, table.personas, models)
    return ModelCommands(direction, table, reports, backends, table.personas, swaps, adapters, table.clock)


def watched_files(client: Hearthside, library: PersonaLibrary, clock: Clock, rng: Random) -> PersonaFiles:
    """Watch over the personas' files, and have Discord told when one brings commands."""
    return PersonaFiles(
        client,
        library,
        clock,
        rng=rng,
        on_report=lambda text: structlog.get_logger("hearthside.personas").warning(text),
        on_commands_changed=lambda: client.soon(client.sync_commands()),
    )


def make_backends(settings: Settings, clock: Clock) -> Backends:
    """Know the model servers that the settings name."""
    return Backends(
        urls=settings.model_urls,
        api_key=settings.model_api_key.get_secret_value(),
        admin_key=settings.model_admin_key.get_secret_value(),
        cpu_model=settings.cpu_model,
        llama_server=settings.llama_server,
        slots=settings.database_path.parent / "slots",
        context_length=settings.context_length,
        parallel=settings.parallel_answers,
        clock=clock,
    )


def make_embedder(settings: Settings, clock: Clock) -> Embedder | None:
    """Know the embedding model that the settings name, if they do."""
    if settings.embedding_url:
        key = settings.embedding_api_key.get_secret_value()
        hosts = {parse_address(url).host for urls in settings.model_urls for url in urls.split("|")}
        if not key and parse_address(settings.embedding_url).host in hosts:
            key = settings.model_api_key.get_secret_value()
        return EmbeddingServer(settings.embedding_url, model=settings.embedding_model, api_key=key)
    if settings.embedding_gguf:
        return EmbeddingModel(settings.embedding_gguf, clock=clock, binary=settings.llama_server)
    return None


def point_discord_at(api_url: str) -> None:
    """Send discord.py's requests to that address. It has no setting for it but this class attribute."""
    discord.http.Route.BASE = api_url


def hush_voice_warnings() -> None:
    """Keep discord.py from reporting at every start that it cannot play sound: the bot never does."""
    discord.VoiceClient.warn_nacl = False
    discord.VoiceClient.warn_dave = False
