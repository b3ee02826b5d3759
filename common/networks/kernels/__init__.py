"""Operations with hand-written backward passes, for speed on CPU."""
