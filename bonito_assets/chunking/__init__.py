"""From `documents` to `chunks`: passages with exact character offsets."""
