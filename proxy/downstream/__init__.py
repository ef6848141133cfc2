"""The side that faces the app: an aiohttp low-level server that hands out raw bytes."""
