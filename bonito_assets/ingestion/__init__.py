"""From a source to `documents`: one row per item, whether it could be read or not."""
