"""Talk to a model, look back and branch off: python examples/chat.py MODEL"""

import sys

import rookery


def say(chat: rookery.Chat, text: str) -> None:
    print(f"> {text}")
    for piece in chat.ask(text):
        if not piece.thinking:
            print(piece.text, end="", flush=True)
    print()


def main(path: str) -> None:
    model = rookery.load(path)
    chat = rookery.Chat(model, sampler=rookery.Sampler(top_p=0.3, seed=1), max_tokens=64)
    say(chat, "Name a bird.")
    other = chat.fork()  # costs nothing: the state is shared
    say(chat, "Where does it live?")
    say(other, "What does it eat?")
    chat.undo()
    print(f"{len(chat.turns)} and {len(other.turns)} turns; a state of {chat.state.data.nbytes / 2**20:.2f} MiB each")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python examples/chat.py MODEL")
    main(sys.argv[1])
