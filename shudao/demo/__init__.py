"""The demo: every part of Shudao as processes of its own, watched live in the terminal."""
