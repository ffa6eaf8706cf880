"""What people see of a batch."""

from rookery.train.data import Batches, Part, Weighted, open_sources, show_batch, tokenised


def test_a_conversation(tmp_path, letters):
    path = tmp_path / "chat.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hi ü"}, {"role": "assistant", "content": "Hö!"}]}\n')
    tokens = tokenised(open_sources(path), letters, tmp_path / "t")
    batch = Batches([Weighted(Part.whole(tokens))], tokens_per_batch=len(tokens.ids), context=100).at(0)
    assert show_batch(batch, letters) == (
        "segment 1 of 1: 31 tokens, 8 learned\n⟦⟨0⟩User: Hi ü\n\nAssistant:⟧ Hö!\n\n⟨0⟩\n"
    )
    assert "⟨0⟩USER: HI Ü\n\nASSISTANT: Hö!\n\n⟨0⟩" in show_batch(batch, letters, str.upper)


def test_a_cut_text(tokens_of, letters):
    tokens = tokens_of("abcdef")
    batch = Batches([Weighted(Part.whole(tokens))], tokens_per_batch=7, context=4, shuffle="none").at(0)
    assert show_batch(batch, letters) == (
        "segment 1 of 2: 4 tokens, 4 learned\n⟦⟨0⟩⟧abcd\n\nsegment 2 of 2: 3 tokens, 3 learned\n⟦d⟧ef⟨0⟩\n"
    )
