"""Fuzz the decoding of messages, guided by coverage: ``python -m tests.fuzz.decode -runs=1000000``.

An input's first byte chooses the content type, its second the topic, the rest is the payload; one
choice of topic reads the rest as an MQTT packet instead, as leniently as the sources do. Arguments
are libFuzzer's. Where an input breaks a promise the process ends with a traceback, and the input is
kept as ``crash-…``: to be run again (``python -m tests.fuzz.decode crash-…``), and made a test of.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest"]):
    from ingest.batch import Message
    from ingest.decode import KEPT_WHOLE, decode
    from ingest.formats import FORMATS
    from ingest.sources.lenient import MalformedError, frame_size, parse_publish

from shudao.streams import BATCH, STREAMS, topic
from tests.fuzz.mutate import structure
from tests.ingest.payloads import QENG_EMPTY_FIELDS, QENG_GSM, TIME_MS, examples

CONTENT_TYPES = ["", "application/json", *(name for f in FORMATS for name in f.content_types)]
TOPICS = [
    *(topic("telecom", stream, "nb-telecom-a") for stream in (*STREAMS, BATCH)),
    "shudao/v1/telecom/radio",
    "shudao/v1/nobody/radio/nb-1",
    "shudao/v1/telecom/radar/nb-1",
]
PACKET = len(TOPICS)
MAX_S = 2
DEFAULTS = ["-timeout=20", "-max_len=4096", "-len_control=0", "-rss_limit_mb=1024"]

# libFuzzer ends its process without a word to Python, so the fuzzer is a child of ours.
FORK = multiprocessing.get_context("fork")
ran = FORK.Value("q", 0, lock=False)


def run(data: bytes) -> None:
    """One input. Raises where a promise is broken."""
    ran.value += 1
    began = time.process_time()
    try:
        if len(data) >= 2:
            take(data)
        assert time.process_time() - began < MAX_S, "it takes too long"
    except Exception:
        Path(f"crash-{hashlib.sha1(data).hexdigest()[:12]}").write_bytes(data)
        raise


def take(data: bytes) -> None:
    """Decode an input as what its first bytes say."""
    choice, payload = data[1] % (PACKET + 1), data[2:]
    if choice == PACKET:
        read_packet(payload)
    else:
        content_type = CONTENT_TYPES[data[0] % len(CONTENT_TYPES)]
        decode_one(Message(TOPICS[choice], payload, 1, content_type))


def decode_one(message: Message) -> None:
    """Nothing that arrives disappears, and what is refused is kept with its reason."""
    samples, refusals = decode([message], {"battery": 1})
    assert sum(map(len, samples)) + len(refusals) > 0, "neither decoded nor refused"
    assert len({r.item for r in refusals}) == len(refusals), "one refusal hides another"
    kept = [r.payload for r in refusals]
    for s in samples:
        assert s.values.shape == (len(s), len(s.stream.fields))
        kept += [s.origin(row).payload for row in range(len(s))]
    assert all(r.detail for r in refusals)
    copies = sum(payload is message.payload for payload in kept)
    assert copies <= 2 * KEPT_WHOLE, "a message is kept too often"


def read_packet(frame: bytes) -> None:
    """What cannot be read at all is malformed; what can, can be decoded."""
    try:
        frame_size(frame)
        found = parse_publish(frame)
    except MalformedError:
        return
    assert found.payload in frame
    decode_one(Message(found.topic, found.payload, 1))


def seeds() -> list[bytes]:
    """The examples of the formats under their content types and without, and compact JSON."""
    compact = [
        b'{"time": 1735689600000, "rsrp_dbm": -101.5, "sinr_db": 4.0, "ecl": 0}',
        b'[{"time": 1735689600000, "technology": "fttp", "down_mbps": 512.3}, {"time": "x"}]',
        b'{"stream": "reading", "device": "a", "time": 1, "metric": "battery", "value": 81}',
    ]
    typed = [(CONTENT_TYPES.index(e.content_type), e.payload) for e in examples(TIME_MS)]
    typed += [(0, payload) for _, payload in typed]
    typed += [(0, payload) for payload in compact]
    typed += [(0, text.format(t=TIME_MS).encode()) for text in (QENG_EMPTY_FIELDS, QENG_GSM)]
    found = [bytes([c, t]) + p for (c, p), t in itertools.product(typed, range(len(TOPICS)))]
    name = TOPICS[0].encode()
    body = len(name).to_bytes(2, "big") + name + b"\x00\x01" + b"\x00" + compact[0]
    return [*found, bytes([0, PACKET, 0x32, len(body)]) + body]


def words() -> list[str]:
    """A dictionary for the fuzzer: names of fields, labels, heads of CBOR."""
    names = {f.name for s in STREAMS.values() for f in s.fields}
    names |= {"time", "device", "stream", "technology", "metric", "value", "notifyType", "services"}
    names |= {"serviceId", "Connectivity", "eventTime", "data", "params", "key", "moduleTime"}
    names |= {
        "bn",
        "bt",
        "bu",
        "bv",
        "bs",
        "bver",
        "vs",
        "vb",
        "vd",
        "4/0/13",
        "4/0/0",
        "+QENG: 0,",
    }
    names |= {"NUESTATS:CELL,", "Signal power:", "module:BC26", "+CSCON: 0,1", "dBW", "-32768"}
    heads = [r"\xc4\x82", r"\xd8\x1c", r"\xd8\x1d", r"\xd9\x01\x02", r"\xc2", r"\x9f", r"\xbf",
             r"\xfb\x7f\xf0", r"\xf9\x7e\x00", r"\x1b\xff", r"\x9b\xff"]  # fmt: skip
    return [f'"{word}"' for word in [*sorted(names), *heads]]


def main() -> int:
    """Fuzz from the seeds, in a corpus that is thrown away unless one is named; the exit code."""
    with tempfile.TemporaryDirectory(prefix="shudao-fuzz-") as home:
        corpus, dictionary = Path(home, "seeds"), Path(home, "words")
        corpus.mkdir()
        for i, seed in enumerate(seeds()):
            (corpus / f"{i:03}").write_bytes(seed)
        dictionary.write_text("\n".join(words()) + "\n")
        flags = [a for a in sys.argv[1:] if a.startswith("-")]
        given = [a for a in sys.argv[1:] if not a.startswith("-")]
        if not any(Path(name).is_file() for name in given):
            given.append(str(corpus))  # of several folders the first grows
        arguments = [*DEFAULTS, f"-dict={dictionary}", *flags, *given]
        child = FORK.Process(target=fuzz, args=([sys.argv[0], *arguments],))
        child.start()
        child.join()
    verdict = "no promise was broken" if child.exitcode == 0 else "the last one broke a promise"
    print(f"{ran.value:,} inputs ran; {verdict}")
    return child.exitcode or 0


def fuzz(arguments: list[str]) -> None:
    """Run libFuzzer; does not return."""
    atheris.Setup(arguments, run, custom_mutator=mutate)
    atheris.Fuzz()


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Every other time a value within JSON or CBOR, else bytes as libFuzzer knows to."""
    if seed % 2:
        changed = structure(data[2:], seed)
        if changed is not None and len(changed) + 2 <= max_size:
            return data[:2] + changed
    mutated: bytes = atheris.Mutate(data, max_size)
    return mutated


if __name__ == "__main__":
    sys.exit(main())
