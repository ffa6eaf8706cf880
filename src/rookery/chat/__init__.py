"""
Conversations.

chat.py      a conversation: ask, undo, retry, fork, save
reply.py     one turn of it, while it is under way
turns.py     what it consists of
thinking.py  tells reasoning from answer

Knows nothing of terminals or HTTP.  The bytes a model reads are those of `rookery.prompts`.
"""

from __future__ import annotations

from rookery.chat.chat import Chat
from rookery.chat.turns import ChatPiece, ChatStats, Turn

__all__ = ["Chat", "ChatPiece", "ChatStats", "Turn"]
